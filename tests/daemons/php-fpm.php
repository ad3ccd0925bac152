<?php
// SPDX-License-Identifier: MIT
//
// What an ordinary site does with its extensions, each answer compared. Says on
// the last line whether all was as it should be.

declare(strict_types=1);

// How many mappings of merlon does a program have that a script executes?
if (isset($_GET['child'])) {
    echo shell_exec('grep -c libmerlon /proc/self/maps');
    exit;
}

$wrong = 0;

function expect(string $what, bool $right): void
{
    global $wrong;
    if (!$right) {
        echo "WRONG: $what\n";
        $wrong++;
    }
}

// Documents through libxml2: parsed, queried, transformed, written.
function xml(int $count): void
{
    $text = '<r>';
    for ($i = 0; $i < $count; $i++) {
        $text .= "<e n=\"$i\"><v>" . str_repeat('x', $i) . '</v></e>';
    }
    $document = new DOMDocument();
    $document->loadXML($text . '</r>');
    $path = new DOMXPath($document);
    expect('xpath', $path->query('//e[@n > 9]/v')->length === $count - 10);
    $simple = simplexml_load_string($document->saveXML());
    expect('simplexml', strlen((string) $simple->e[$count - 1]->v) === $count - 1);
    $elements = 0;
    $parser = xml_parser_create();
    xml_set_element_handler($parser, function () use (&$elements) {
        $elements++;
    }, null);
    expect('expat', xml_parse($parser, $text . '</r>', true) === 1);
    expect('elements', $elements === 2 * $count + 1);
    libxml_use_internal_errors(true);
    expect('broken', !$document->loadXML('<r><e></r>'));
    libxml_clear_errors();
}

// An archive through libzip and zlib.
function zip(string $text): void
{
    $name = tempnam(sys_get_temp_dir(), 'merlon');
    $zip = new ZipArchive();
    expect('zip open', $zip->open($name, ZipArchive::OVERWRITE) === true);
    for ($i = 0; $i < 20; $i++) {
        $zip->addFromString("f$i", substr($text, 0, $i * 1000));
    }
    $zip->close();
    $zip = new ZipArchive();
    $zip->open($name);
    expect('zip count', $zip->numFiles === 20);
    expect('unzip', $zip->getFromName('f19') === substr($text, 0, 19000));
    $zip->close();
    unlink($name);
}

// libonig, libpcre and iconv.
function words(string $text): void
{
    expect('utf-16', mb_convert_encoding(
        mb_convert_encoding($text . 'äöü€', 'UTF-16LE', 'UTF-8'),
        'UTF-8', 'UTF-16LE') === $text . 'äöü€');
    expect('upper', mb_strtoupper('zinnenkränze', 'UTF-8') === 'ZINNENKRÄNZE');
    expect('mb_ereg', mb_ereg_replace('[aeiou]', '', 'merlon') === 'mrln');
    expect('preg', preg_match_all('/\bmer(l)on\b/u', $text) === 3000);
    expect('iconv', iconv('UTF-8', 'ISO-8859-1', 'é') === "\xe9");
    expect('gzip', gzdecode(gzencode($text)) === $text);
}

// A server that is not there still has to be looked up and asked.
function mysql(): void
{
    mysqli_report(MYSQLI_REPORT_OFF);
    $link = mysqli_init();
    $link->options(MYSQLI_OPT_CONNECT_TIMEOUT, 1);
    expect('mysqli', !@$link->real_connect('127.0.0.1', 'u', 'p', 'd', 1));
    expect('mysqli error', mysqli_connect_errno() === 2002);
}

function curl(string $url): void
{
    $all = curl_multi_init();
    $each = [];
    for ($i = 0; $i < 4; $i++) {
        $each[$i] = curl_init($url . 'page.html');
        curl_setopt($each[$i], CURLOPT_RETURNTRANSFER, true);
        curl_multi_add_handle($all, $each[$i]);
    }
    do {
        curl_multi_exec($all, $running);
        curl_multi_select($all, 0.1);
    } while ($running);
    foreach ($each as $one) {
        expect('curl', curl_multi_getcontent($one)
            === file_get_contents(__DIR__ . '/page.html'));
        curl_multi_remove_handle($all, $one);
    }
}

$text = str_repeat('merlon is between two gaps; ', 3000);
for ($round = (int) ($_GET['rounds'] ?? 1); $round > 0; $round--) {
    xml(60);
    zip($text);
    words($text);
}
mysql();
if (isset($_GET['origin'])) {
    curl($_GET['origin']);
    foreach (get_loaded_extensions() as $extension) {
        echo "loaded: $extension\n";
    }
    expect('opcache', opcache_get_status(false)['opcache_enabled']);
}
echo $wrong === 0 ? "all as it should be\n" : "$wrong wrong\n";
