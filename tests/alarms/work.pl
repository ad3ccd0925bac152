# SPDX-License-Identifier: MIT
#
# work.pl - hashes, strings, regular expressions and closures that come and go.
use strict;
use warnings;

srand(shift // 0);
my (%table, @list);
for my $i (1 .. 1_500_000) {
    my $key = int rand 30_000;
    if (exists $table{$key} && rand() < 0.5) {
        delete $table{$key};
    } else {
        $table{$key} = { name => "k$key", list => [1 .. rand 12],
                         text => "x" x rand 700 };
    }
    if ($i % 50 == 0) {
        my $text = join ",", map { $_->{name} } grep { defined }
            @table{map { int rand 30_000 } 1 .. 40};
        $text =~ s/(\d+)/<$1>/g;
        push @list, sub { length $text };
        splice @list, rand @list, 1 if @list > 500;
    }
}
my $sum = 0;
$sum += $_->() for @list;
print scalar(keys %table), " $sum\n";
