// SPDX-License-Identifier: MIT
//
// trace.cc - call all 20 operators and print for each which operators of the
// program were called by it, and how it ended. Linked with some objects of
// replace.cc, and run with and without merlon, it must print the same.

#include "trace.h"

#include <string.h>

#include <new>

#include "expect.h"

using std::align_val_t;
using std::nothrow;

static const char *notes[8];
static unsigned count;
static const align_val_t a{64};

void trace_note(const char *name)
{
    if (count < 8)
        notes[count++] = name;
}

static void print(const char *form, const char *end)
{
    printf("%-30s", form);
    for (unsigned i = 0; i < count; i++)
        printf(" > %s", notes[i]);
    printf(" = %s\n", end);
    count = 0;
}

template <class F> static void *allocate(const char *form, F f)
{
    void *p = nullptr;
    const char *end;

    count = 0;
    try {
        p = hide(f());
        end = p != nullptr ? "memory" : "NULL";
    } catch (const std::bad_alloc &) {
        end = "bad_alloc";
    }
    print(form, end);
    if (p != nullptr)
        memset(p, 0x5a, 64);
    return p;
}

// Allocate twice, once with a size that an operator of the program refuses,
// and free by f.
#define PAIR(make, drop)                                                      \
    do {                                                                      \
        size_t n = 64;                                                        \
        void *p = allocate(#make, [&] { return ::operator make; });           \
        count = 0;                                                            \
        ::operator drop;                                                      \
        print(#drop, "done");                                                 \
        n = 777;                                                              \
        p = allocate(#make, [&] { return ::operator make; });                 \
        ::operator drop;                                                      \
        count = 0;                                                            \
    } while (0)

int main()
{
    PAIR(new(n), delete(p));
    PAIR(new[](n), delete[](p));
    PAIR(new(n, nothrow), delete(p, nothrow));
    PAIR(new[](n, nothrow), delete[](p, nothrow));
    PAIR(new(n), delete(p, n));
    PAIR(new[](n), delete[](p, n));
    PAIR(new(n, a), delete(p, a));
    PAIR(new[](n, a), delete[](p, a));
    PAIR(new(n, a, nothrow), delete(p, a, nothrow));
    PAIR(new[](n, a, nothrow), delete[](p, a, nothrow));
    PAIR(new(n, a), delete(p, n, a));
    PAIR(new[](n, a), delete[](p, n, a));

    // What the compiler makes of expressions.
    struct alignas(64) wide {
        char bytes[64];
        ~wide()
        {
            hide(this);
        }
    };
    count = 0;
    delete hide(new int(1));
    print("expression int", "done");
    delete[] hide(new wide[3]);
    print("expression wide[3]", "done");
    return 0;
}
