# SPDX-License-Identifier: MIT
# The work of bench/real/perl; prints a checksum. Argument: rounds.
use strict;
use warnings;

my ($check, $state, %kept) = (0, 42);

sub draw {
    my ($below) = @_;
    $state = ($state * 1103515245 + 12345) & 0x7fffffff;
    return int($state / 65536) % $below;
}

for my $round (1 .. $ARGV[0]) {
    my (%count, @line);
    for my $i (1 .. 3000) {
        my $name = join '', map { chr(97 + draw(26)) } 1 .. 3 + draw(6);
        push @line, "$i:$name:" . ($name x draw(8));
        $count{substr $name, 0, 3}++;
    }
    my @parsed = map { [split /:/] } @line;
    my $text = join "\n", map { "$_->[1]=" . length($_->[2] // '') } @parsed;
    $text =~ s/([aeiou])([a-z])/$2$1/g;
    my @sorted = sort { $count{$a} <=> $count{$b} || $a cmp $b } keys %count;
    my %tree = map { $_ => [1 .. draw(9)] } @sorted;
    $kept{$round % 10} = { lines => \@line, tree => \%tree };
    $check = ($check * 31 + length($text) + @sorted) % 1000003;
}
print "$check\n";
