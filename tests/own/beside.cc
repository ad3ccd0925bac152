/* SPDX-License-Identifier: MIT */
/*
 * beside.cc - a C++ program that links another allocator. Preloaded before it,
 * merlon serves all names, whatever the other one has.
 *
 *   beside PATH-OF-MERLON
 */
#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

/* From the other one. */
extern "C" int OTHER(const char *, void *, size_t *, void *, size_t)
    __attribute__((weak));

static bool is_from(const char *name, const char *path)
{
    Dl_info info;

    if (dladdr(dlsym(RTLD_DEFAULT, name), &info) != 0
        && std::strcmp(info.dli_fname, path) == 0)
        return true;
    std::printf("%s is from %s\n", name, info.dli_fname);
    return false;
}

int main(int, char **argv)
{
    static const char *const names[] = {
        "malloc", "free", "calloc", "realloc", "reallocarray", "memalign",
        "aligned_alloc", "posix_memalign", "valloc", "pvalloc",
        "malloc_usable_size", "_Znwm", "_Znam", "_ZdlPv", "_ZdaPv",
        "_ZdlPvm", "_ZnwmSt11align_val_t", "_ZdlPvSt11align_val_t",
        "malloc_trim", "mallinfo2", "__libc_malloc",
    };
    for (const char *name : names)
        if (!is_from(name, argv[1]))
            return 1;
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; t++)
        threads.emplace_back([] {
            std::vector<std::string> texts;
            for (int i = 0; i < 5000; i++)
                texts.push_back(std::string(static_cast<size_t>(i % 500), 'x'));
            std::free(::strdup(texts.back().c_str()));
        });
    for (auto &thread : threads)
        thread.join();
    std::free(std::aligned_alloc(64, 640));
    return 0;
}
