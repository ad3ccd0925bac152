/* SPDX-License-Identifier: MIT */
/*
 * chunks.c - a small parser with a planted bug, to be fuzzed.
 *
 *   chunks FILE
 *
 * A file is "CHNK", then chunks: a kind, a length, and so many bytes. Kind 'n'
 * is a name, kind 'c' a comment. The bug: a name may be 32 bytes long, and the
 * zero byte behind it is not counted. With most allocators nothing can be seen
 * of it: they give objects of 32 bytes a little more, and nothing crashes.
 *
 * Compiled by afl-clang-fast it runs in persistent mode.
 */
#define _GNU_SOURCE 1
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "merlon/fuzz.h"

#pragma weak merlon_fuzz_reset

enum { NAME_BYTES = 32, INPUT_BYTES = 4096 };

struct chunks {
    char *name;
    size_t comments;
};

static void take_name(struct chunks *chunks, const char *bytes, size_t length)
{
    if (length > NAME_BYTES)
        return;
    free(chunks->name);
    chunks->name = malloc(NAME_BYTES);
    if (chunks->name == NULL)
        return;
    memcpy(chunks->name, bytes, length);
    chunks->name[length] = '\0'; /* planted: length may be NAME_BYTES */
}

static int parse(const char *input, size_t bytes)
{
    struct chunks chunks = {NULL, 0};
    const char *at = input + 4, *end = input + bytes;

    if (bytes < 4 || memcmp(input, "CHNK", 4) != 0)
        return -1;
    while (end - at >= 2) {
        char kind = at[0];
        size_t length = (unsigned char)at[1];
        at += 2;
        if (length > (size_t)(end - at))
            break;
        if (kind == 'n')
            take_name(&chunks, at, length);
        else if (kind == 'c')
            chunks.comments++;
        else
            break;
        at += length;
    }
    printf("name %s, %zu comments\n",
           chunks.name ? chunks.name : "(none)", chunks.comments);
    free(chunks.name);
    return 0;
}

static int parse_file(const char *path)
{
    static char input[INPUT_BYTES];
    FILE *file = fopen(path, "rb");
    size_t bytes;

    if (file == NULL)
        return -1;
    bytes = fread(input, 1, sizeof input, file);
    fclose(file);
    return parse(input, bytes);
}

#ifdef __AFL_HAVE_MANUAL_CONTROL
#define MORE() __AFL_LOOP(1000)
#else
static int left = 1;
#define MORE() (left-- > 0)
#endif

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: chunks FILE\n");
        return 2;
    }
    /* What is allocated once for the whole process lies before the mark. */
    printf("chunks\n");
    while (MORE()) {
        if (merlon_fuzz_reset)
            merlon_fuzz_reset(MERLON_FUZZ_DROP);
        parse_file(argv[1]);
        fflush(stdout);
    }
    return 0;
}
