// SPDX-License-Identifier: MIT
//
// failures.cc - sizes and alignments that cannot be: std::bad_alloc, or NULL
// from the nothrow forms. libstdc++ 12 fails some of the aligned ones: it
// rounds the size up, wraps around and returns a tiny object.

#include <new>

#include "expect.h"

using std::align_val_t;
using std::nothrow;

template <class F> static bool throws(F f)
{
    try {
        hide(f());
    } catch (const std::bad_alloc &) {
        return true;
    }
    return false;
}

static void plain(size_t n)
{
    EXPECT(throws([=] { return ::operator new(n); }));
    EXPECT(throws([=] { return ::operator new[](n); }));
    EXPECT(hide(::operator new(n, nothrow)) == nullptr);
    EXPECT(hide(::operator new[](n, nothrow)) == nullptr);
}

static void aligned(size_t n, size_t alignment)
{
    align_val_t a = align_val_t(hide(alignment));

    EXPECT(throws([=] { return ::operator new(n, a); }));
    EXPECT(throws([=] { return ::operator new[](n, a); }));
    EXPECT(hide(::operator new(n, a, nothrow)) == nullptr);
    EXPECT(hide(::operator new[](n, a, nothrow)) == nullptr);
}

int main()
{
    static const size_t absurd[] = {
        SIZE_MAX,           SIZE_MAX - 1,           SIZE_MAX - 8,
        SIZE_MAX - 31,      SIZE_MAX - 4095,        SIZE_MAX / 2 + 1,
        size_t(PTRDIFF_MAX), size_t(PTRDIFF_MAX) + 1};

    for (size_t n : absurd) {
        plain(hide(n));
        for (size_t a = 1; a != 0; a *= 2)
            aligned(hide(n), a);
    }

    // Not powers of two.
    static const size_t wrong[] = {0, 3, 24, 48, SIZE_MAX / 2, SIZE_MAX};
    for (size_t a : wrong) {
        aligned(0, a);
        aligned(100, a);
    }

    // A power of two that no memory has.
    aligned(1, SIZE_MAX / 2 + 1);
    return 0;
}
