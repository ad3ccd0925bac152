// SPDX-License-Identifier: MIT
//
// handler.cc - the new-handler is called as long as memory is missing; it may
// make room, take itself away, or throw. A nothrow form turns what it throws
// into NULL.

#include <new>

#include "expect.h"

using std::align_val_t;
using std::nothrow;

static const size_t too_much = size_t(PTRDIFF_MAX) - 4096;
static const align_val_t a{64};
static int calls;

struct special : std::bad_alloc {
};

// Gives up at the third call.
static void third_removes_itself()
{
    if (++calls == 3)
        std::set_new_handler(nullptr);
}

static void third_throws()
{
    if (++calls == 3)
        throw special();
}

template <class E, class F>
static void throws(void (*handler)(), int wanted_calls, F f)
{
    bool caught = false;

    calls = 0;
    std::set_new_handler(handler);
    try {
        hide(f());
    } catch (const E &) {
        caught = true;
    }
    EXPECT(caught);
    EXPECT(calls == wanted_calls);
    std::set_new_handler(nullptr);
}

template <class F>
static void is_null(void (*handler)(), int wanted_calls, F f)
{
    calls = 0;
    std::set_new_handler(handler);
    EXPECT(hide(f()) == nullptr);
    EXPECT(calls == wanted_calls);
    std::set_new_handler(nullptr);
}

static void every_form(size_t n)
{
    for (int i = 0; i < 2; i++) {
        bool with_throw = i == 1;
        void (*handler)() = with_throw ? third_throws : third_removes_itself;

#define THROWS(call)                                                          \
    do {                                                                      \
        if (with_throw)                                                       \
            throws<special>(handler, 3, [=] { return call; });                \
        else                                                                  \
            throws<std::bad_alloc>(handler, 3, [=] { return call; });         \
        throws<std::bad_alloc>(nullptr, 0, [=] { return call; });             \
    } while (0)
#define IS_NULL(call)                                                         \
    do {                                                                      \
        is_null(handler, 3, [=] { return call; });                            \
        is_null(nullptr, 0, [=] { return call; });                            \
    } while (0)

        THROWS(::operator new(n));
        THROWS(::operator new[](n));
        THROWS(::operator new(n, a));
        THROWS(::operator new[](n, a));
        IS_NULL(::operator new(n, nothrow));
        IS_NULL(::operator new[](n, nothrow));
        IS_NULL(::operator new(n, a, nothrow));
        IS_NULL(::operator new[](n, a, nothrow));
    }
}

// A wrong alignment is no lack of memory: the handler is not asked.
static void wrong_alignment()
{
    align_val_t wrong = align_val_t(hide(size_t(24)));

    throws<std::bad_alloc>(third_throws, 0,
                           [=] { return ::operator new(8, wrong); });
    is_null(third_throws, 0,
            [=] { return ::operator new(8, wrong, nothrow); });
}

int main()
{
    every_form(hide(too_much));
    wrong_alignment();

    // What succeeds asks nobody.
    std::set_new_handler(third_throws);
    calls = 0;
    ::operator delete(hide(::operator new(100)));
    EXPECT(calls == 0);

    // The frames that an exception passes are left in order: again and again.
    std::set_new_handler(nullptr);
    for (int i = 0; i < 1000; i++)
        throws<std::bad_alloc>(nullptr, 0, [] {
            return ::operator new[](hide(too_much));
        });
    return 0;
}
