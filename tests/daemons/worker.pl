#!/usr/bin/perl
# SPDX-License-Identifier: MIT
#
# worker.pl - a web server of several processes whose answers take memory.
#
#     worker.pl PORT        serve GET /work/N
#     worker.pl print N...  print the same answers
use strict;
use warnings;
use Digest::SHA qw(sha256_hex);
use IO::Socket::INET;
use JSON::PP;
use Storable qw(freeze thaw);

my $json = JSON::PP->new->canonical;

sub answer {
    my ($number) = @_;
    my $seed = $number;
    my (%words, @rows);
    for my $i (1 .. 2500) {
        $seed = ($seed * 1103515245 + 12345) % 2147483648;
        push @rows, [$seed % 700, 'text ' x ($seed % 40), $i];
        push @{$words{"word " . $seed % 900}}, $i;
    }
    my @sorted = sort { $a->[0] <=> $b->[0] || $a->[2] <=> $b->[2] } @rows;
    my $text = join "\n", map { join ';', @$_ } @sorted;
    my $found = () = $text =~ /\b(\d+);(?:text )+;\1\b/g;
    (my $changed = $text) =~ s/(\d)(\d)/$2$1/g;
    my $copy = thaw(freeze({words => \%words, rows => \@sorted}));
    my $said = $json->encode({%{$copy->{words}}});
    die "JSON changed on its way\n"
        if $json->encode($json->decode($said)) ne $said;
    return "$number $found " . sha256_hex($changed . $said) . "\n";
}

sub serve {
    my ($listener) = @_;
    while (my $client = $listener->accept) {
        my $request = <$client> // next;
        while (defined(my $line = <$client>)) {
            last if $line =~ /^\r?$/;
        }
        my ($number) = $request =~ m{/work/(\d+)};
        my $body = answer($number);
        print $client "HTTP/1.1 200 OK\r\nConnection: close\r\n",
            'Content-Length: ', length $body, "\r\n\r\n", $body;
        close $client;
    }
}

my ($port, @numbers) = @ARGV;
if ($port eq 'print') {
    print map { answer($_) } @numbers;
    exit 0;
}

my $listener = IO::Socket::INET->new(LocalAddr => "127.0.0.1:$port",
    Listen => 128, ReuseAddr => 1) or die "cannot listen: $@\n";
my %children;
my $again = 0;
my $ending = 0;
# perl's own handlers run between two operations: they may do as they like.
local $SIG{HUP} = sub { $again = 1; kill 'TERM', keys %children; };
local $SIG{TERM} = sub { $ending = 1; kill 'TERM', keys %children; };
for (1 .. 4) {
    my $pid = fork // die "cannot fork: $!\n";
    if ($pid == 0) {
        local @SIG{qw(HUP TERM)} = ('IGNORE', 'DEFAULT');
        serve($listener);
        exit 1;
    }
    $children{$pid} = 1;
}
while (%children) {
    my $pid = waitpid -1, 0;
    delete $children{$pid} if $pid > 0;
    last if $pid < 0 && !$!{EINTR};
}
close $listener;
exec $^X, $0, $port if $again && !$ending;
exit 0;
