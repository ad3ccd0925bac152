// SPDX-License-Identifier: MIT
//
// module.cc - the C++ module that late.c loads.

#include <new>

#include "expect.h"

static int calls;

static void handler()
{
    calls++;
    throw std::bad_alloc();
}

static bool throws(size_t n)
{
    try {
        hide(::operator new[](n));
    } catch (const std::bad_alloc &) {
        return true;
    }
    return false;
}

extern "C" int module_run()
{
    size_t too_much = hide(size_t(PTRDIFF_MAX));

    EXPECT(throws(too_much));
    EXPECT(hide(::operator new(too_much, std::nothrow)) == nullptr);
    std::set_new_handler(handler);
    EXPECT(throws(too_much));
    EXPECT(calls == 1);
    EXPECT(hide(::operator new(too_much, std::nothrow)) == nullptr);
    EXPECT(hide(::operator new[](too_much, std::nothrow)) == nullptr);
    EXPECT(calls == 3);
    return 0;
}
