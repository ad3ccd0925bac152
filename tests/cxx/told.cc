// SPDX-License-Identifier: MIT
//
// told.cc - deletes that are told a wrong size, as a wrong static type makes
// the compiler do: squid deletes 28 bytes as 16. Prints how many merlon counted.
// With an argument all sizes are right, also after realloc.

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <new>

#include "expect.h"

extern "C" void free_sized(void *p, size_t bytes) __attribute__((weak));

static const size_t told[][2] = {
    {28, 16}, {16, 28}, {56, 1}, {1000, 600}, {70000, 40000}, {300000, 100},
    {5000000, 100000},
};

static void print_count()
{
    char text[4096] = "";
    FILE *file = fmemopen(text, sizeof text, "w");

    EXPECT(file != nullptr && malloc_info(0, file) == 0);
    fclose(file);
    const char *found = strstr(text, "mismatches=\"");
    EXPECT(found != nullptr);
    puts(strtok(strdup(found + 12), "\""));
}

int main(int argc, char **)
{
    for (auto &pair : told) {
        size_t right = pair[0];
        ::operator delete(::operator new(right), argc > 1 ? right : pair[1]);
    }
    // What realloc left in its place may be told by its new size.
    EXPECT(free_sized != nullptr);
    for (size_t bytes = 1; bytes < 100000; bytes += bytes / 3 + 1)
        free_sized(realloc(malloc(bytes), bytes - bytes / 3), bytes - bytes / 3);
    print_count();
    return 0;
}
