/* SPDX-License-Identifier: MIT */
/*
 * late.c - a C program that loads a C++ module, and with it the C++ library,
 * after merlon and for the module only, as Python does: bad_alloc is thrown and
 * caught inside the module all the same.
 */
#include <dlfcn.h>
#include <stdio.h>

int main(int argc, char **argv)
{
    void *module = dlopen(argc > 1 ? argv[1] : "", RTLD_NOW | RTLD_LOCAL);
    if (module == NULL) {
        fprintf(stderr, "%s\n", dlerror());
        return 1;
    }
    int (*run)(void) = (int (*)(void))dlsym(module, "module_run");
    return run != NULL ? run() : 2;
}
