/* SPDX-License-Identifier: MIT */
/*
 * main.cc - a C++ program with a malloc of its own: the operators that it does
 * not replace get their memory from there, as they do from libstdc++.
 */
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <new>
#include <string>
#include <vector>

#include "heap.h"

#define NEED(x) do { if (!(x)) { std::printf("line %d: %s\n", __LINE__, #x); \
    return 1; } } while (0)

struct alignas(64) wide {
    char bytes[64];
};

#ifdef REPLACE_DELETE
void operator delete(void *p) noexcept
{
    std::free(p);
}
void operator delete(void *p, std::size_t) noexcept
{
    std::free(p);
}
#endif

int main()
{
    std::map<std::string, std::vector<int>> table;
    for (int i = 0; i < 1000; i++)
        table[std::string(50, 'x') + std::to_string(i % 77)].push_back(i);
    NEED(heap_has(&table.begin()->second));
    table.clear();
    auto one = std::make_unique<int>(1);
    NEED(heap_has(one.get()));
    int *volatile mixed = new int(3);
    std::free(mixed);
    char *volatile large = new char[100000];
    NEED(heap_has(large));
    delete[] large;
    int *volatile silent = new (std::nothrow) int(4);
    NEED(heap_has(silent));
    delete silent;
#ifdef WHOLE
    wide *volatile far = new wide;
    NEED(heap_has(far));
    delete far;
    volatile std::size_t absurd = static_cast<std::size_t>(-1) - 63;
    NEED(::operator new(absurd, std::align_val_t(128), std::nothrow)
         == nullptr);
#endif
    try {
        volatile std::size_t too_much = static_cast<std::size_t>(-1) / 4;
        char *volatile vast = new char[too_much];
        delete[] vast;
        return 2;
    } catch (const std::bad_alloc &) {
    }
    std::puts("done");
    return 0;
}
