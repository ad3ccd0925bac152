/* SPDX-License-Identifier: MIT */
/*
 * attack_overwrite_freed.c - a freed block is written to.
 *
 * The attacker keeps a pointer to blocks that were freed and writes an address
 * of his choice into them. An allocator that keeps plain links in free blocks
 * follows them and hands out what the attacker wants.
 *
 * Compile with -O0 -fno-builtin. Exit status 0: nothing noticed the bug.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BYTES = 64, BLOCKS = 200, LIVE = 500, LATER = 40000 };

static char secret[4 * BYTES] __attribute__((aligned(64)));

int main(void)
{
    static char *block[BLOCKS];
    char *aim = secret + BYTES;

    for (int i = 0; i < BLOCKS; i++) {
        block[i] = malloc(BYTES);
        if (block[i] == NULL)
            return 2;
    }
    for (int i = 0; i < BLOCKS; i += 2)
        free(block[i]);
    for (int i = 0; i < BLOCKS; i += 2)
        memcpy(block[i], &aim, sizeof aim); /* the write after free */

    /* The program goes on as programs do: some blocks come, others go. */
    static char *live[LIVE];
    for (int i = 0; i < LATER; i++) {
        free(live[i % LIVE]);
        char *p = live[i % LIVE] = malloc(BYTES);
        if (p >= secret && p < secret + sizeof secret) {
            printf("malloc gave out the secret: %p\n", (void *)p);
            return 0;
        }
    }
    puts("the write to freed blocks went unnoticed");
    return 0;
}
