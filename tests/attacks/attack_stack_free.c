/* SPDX-License-Identifier: MIT */
/*
 * attack_stack_free.c - an address on the stack is freed.
 *
 * With a forged chunk around it ("house of spirit") many allocators take the
 * address in and later hand out memory of the stack as if it were the heap's.
 *
 * Compile with -O0 -fno-builtin. Exit status 0: nothing noticed the bug.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

enum { BYTES = 64, LATER = 40 };

int main(void)
{
    /* What a heap chunk of 80 bytes would look like to glibc. */
    uintptr_t forged[24] __attribute__((aligned(16))) = {0};
    forged[1] = 0x51;
    forged[11] = 0x51;
    char *volatile wrong = (char *)&forged[2];

    if (malloc(BYTES) == NULL)
        return 2;
    free(wrong);

    for (int i = 0; i < LATER; i++)
        if (malloc(BYTES) == wrong)
            printf("malloc gave out the stack: %p\n", (void *)wrong);
    puts("the free of a stack address went unnoticed");
    return 0;
}
