/* SPDX-License-Identifier: MIT */
/*
 * linked.cc - a C++ program into which another allocator is linked, or beside
 * which it lies; with -DREPLACE it has some operators of its own as well. It
 * says "done".
 */
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <string>
#include <thread>
#include <vector>

#ifdef REPLACE
static int made;
void *operator new(std::size_t bytes)
{
    made++;
    if (void *p = std::malloc(bytes))
        return p;
    throw std::bad_alloc();
}
void operator delete(void *p) noexcept
{
    std::free(p);
}
#if REPLACE == 2
void *operator new[](std::size_t bytes)
{
    made++;
    if (void *p = std::calloc(1, bytes))
        return p;
    throw std::bad_alloc();
}
void operator delete[](void *p) noexcept
{
    std::free(p);
}
void operator delete(void *p, std::size_t) noexcept
{
    std::free(p);
}
void operator delete[](void *p, std::size_t) noexcept
{
    std::free(p);
}
#endif
#endif

struct alignas(256) Wide {
    char bytes[700];
};

static void work()
{
    std::vector<std::string> texts;
    std::vector<Wide *> wide;

    for (std::size_t i = 0; i < 5000; i++) {
        texts.push_back(std::string(i % 500, 'x'));
        if (i % 50 == 0)
            wide.push_back(new Wide);
    }
    for (Wide *one : wide) {
        if (reinterpret_cast<std::size_t>(one) % alignof(Wide) != 0)
            std::abort();
        delete one;
    }
    int *many = new int[1000]();
    void *larger = std::realloc(std::malloc(100), 100000);
    std::free(larger);
    delete[] many;
    std::free(::strdup(texts.back().c_str()));
}

int main()
{
    std::vector<std::thread> threads;

    for (int i = 0; i < 4; i++)
        threads.emplace_back(work);
    for (auto &thread : threads)
        thread.join();
#ifdef REPLACE
    if (made == 0)
        return 1;
#endif
    return std::puts("done") < 0;
}
