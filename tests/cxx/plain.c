/* SPDX-License-Identifier: MIT */
/*
 * plain.c - C, and no C++ library in the process: the operators work, and one
 * that must throw ends the process after a line that says why.
 */
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define Z (sizeof(size_t) == sizeof(long) && sizeof(long) == 8 ? "m" : "j")

static void *find(const char *before, const char *size, const char *after)
{
    char name[80];
    snprintf(name, sizeof name, "%s%s%s", before, size, after);
    void *found = dlsym(RTLD_DEFAULT, name);
    if (found == NULL)
        fprintf(stderr, "no %s\n", name);
    return found;
}

int main(int argc, char **argv)
{
    void *(*new_plain)(size_t) = find("_Znw", Z, "");
    void *(*new_nothrow)(size_t, void *) = find("_Znw", Z, "RKSt9nothrow_t");
    void (*delete_sized)(void *, size_t) = find("_ZdlPv", Z, "");

    if (new_plain == NULL || new_nothrow == NULL || delete_sized == NULL)
        return 1;
    void *p = new_plain(100);
    memset(p, 1, 100);
    delete_sized(p, 100);
    if (new_nothrow(SIZE_MAX / 2, argv) != NULL)
        return 2;
    if (argc > 1)
        new_plain(SIZE_MAX / 2);
    return 0;
}
