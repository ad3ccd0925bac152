/* SPDX-License-Identifier: MIT */
/*
 * attack_double_free.c - a block is freed twice, with work in between.
 *
 * The classic: an error path frees what the normal path frees again. On an
 * allocator that does not notice, the block is then handed out twice, and two
 * owners write over each other: the program shows it.
 *
 * Compile with -O0 -fno-builtin. Exit status 0: nothing noticed the bug.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BYTES = 64, LATER = 40 };

int main(void)
{
    char *session = malloc(BYTES), *other = malloc(BYTES);
    char *later[LATER];
    if (session == NULL || other == NULL)
        return 2;
    strcpy(session, "user=guest");

    free(session); /* the error path */
    free(other);
    free(session); /* and the normal one */

    for (int i = 0; i < LATER; i++) {
        later[i] = malloc(BYTES);
        if (later[i] == NULL)
            return 2;
    }
    for (int i = 0; i < LATER; i++)
        for (int j = 0; j < i; j++)
            if (later[i] == later[j])
                printf("two owners of one block: %p\n", (void *)later[i]);
    puts("the double free went unnoticed");
    return 0;
}
