// SPDX-License-Identifier: MIT
//
// replace.cc - a program's own version of one operator, chosen by -DFORM=n, as
// an object of its own that a trace program is linked with. It notes that it
// was called, and fails for 777 bytes.

#include <stdlib.h>

#include <new>

#include "trace.h"

using std::align_val_t;
using std::nothrow_t;
using std::size_t;

static void *take(const char *name, size_t n, size_t alignment = 16)
{
    trace_note(name);
    if (n == 777)
        throw std::bad_alloc();
    return aligned_alloc(alignment, (n + alignment) / alignment * alignment);
}

static inline void *take_nothrow(const char *name, size_t n,
                                 size_t alignment = 16)
{
    try {
        return take(name, n, alignment);
    } catch (...) {
        return nullptr;
    }
}

static inline void give(const char *name, void *p)
{
    trace_note(name);
    free(p);
}

#if FORM == 0
void *operator new(size_t n)
{
    return take("new", n);
}
#elif FORM == 1
void *operator new[](size_t n)
{
    return take("new[]", n);
}
#elif FORM == 2
void *operator new(size_t n, const nothrow_t &) noexcept
{
    return take_nothrow("new nothrow", n);
}
#elif FORM == 3
void *operator new[](size_t n, const nothrow_t &) noexcept
{
    return take_nothrow("new[] nothrow", n);
}
#elif FORM == 4
void *operator new(size_t n, align_val_t a)
{
    return take("new aligned", n, size_t(a));
}
#elif FORM == 5
void *operator new[](size_t n, align_val_t a)
{
    return take("new[] aligned", n, size_t(a));
}
#elif FORM == 6
void *operator new(size_t n, align_val_t a, const nothrow_t &) noexcept
{
    return take_nothrow("new aligned nothrow", n, size_t(a));
}
#elif FORM == 7
void *operator new[](size_t n, align_val_t a, const nothrow_t &) noexcept
{
    return take_nothrow("new[] aligned nothrow", n, size_t(a));
}
#elif FORM == 8
void operator delete(void *p) noexcept
{
    give("delete", p);
}
#elif FORM == 9
void operator delete[](void *p) noexcept
{
    give("delete[]", p);
}
#elif FORM == 10
void operator delete(void *p, size_t) noexcept
{
    give("delete sized", p);
}
#elif FORM == 11
void operator delete[](void *p, size_t) noexcept
{
    give("delete[] sized", p);
}
#elif FORM == 12
void operator delete(void *p, const nothrow_t &) noexcept
{
    give("delete nothrow", p);
}
#elif FORM == 13
void operator delete[](void *p, const nothrow_t &) noexcept
{
    give("delete[] nothrow", p);
}
#elif FORM == 14
void operator delete(void *p, align_val_t) noexcept
{
    give("delete aligned", p);
}
#elif FORM == 15
void operator delete[](void *p, align_val_t) noexcept
{
    give("delete[] aligned", p);
}
#elif FORM == 16
void operator delete(void *p, size_t, align_val_t) noexcept
{
    give("delete sized aligned", p);
}
#elif FORM == 17
void operator delete[](void *p, size_t, align_val_t) noexcept
{
    give("delete[] sized aligned", p);
}
#elif FORM == 18
void operator delete(void *p, align_val_t, const nothrow_t &) noexcept
{
    give("delete aligned nothrow", p);
}
#elif FORM == 19
void operator delete[](void *p, align_val_t, const nothrow_t &) noexcept
{
    give("delete[] aligned nothrow", p);
}
#endif
