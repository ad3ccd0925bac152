// SPDX-License-Identifier: MIT
//
// forms.cc - all 20 operators: they are merlon's, their memory is usable,
// aligned, and comes back through every delete that may take it.

#include <dlfcn.h>
#include <malloc.h>
#include <string.h>

#include <new>

#include "expect.h"

using std::align_val_t;
using std::nothrow;

static const size_t sizes[] = {0,    1,    8,     16,     17,      100, 1000,
                               4096, 5000, 70000, 300000, 10000000};
static const size_t alignments[] = {1,  8,    16,    32,        64,
                                    64, 4096, 65536, 1u << 20u, 1u << 26u};

// The library behind an operator is the one under test.
static void is_merlons(const char *symbol)
{
    const char *wanted = getenv("MERLON_LIB");
    void *address = dlsym(RTLD_DEFAULT, symbol);
    Dl_info info;

    EXPECT(wanted != nullptr);
    EXPECT(address != nullptr);
    EXPECT(dladdr(address, &info) != 0);
    if (strcmp(info.dli_fname, wanted) != 0) {
        fprintf(stderr, "%s is that of %s\n", symbol, info.dli_fname);
        exit(1);
    }
}

static void all_are_merlons()
{
    is_merlons("_ZdlPv");
    is_merlons("_ZdaPv");
    is_merlons("_ZdlPvRKSt9nothrow_t");
    is_merlons("_ZdaPvRKSt9nothrow_t");
    is_merlons("_ZdlPvSt11align_val_t");
    is_merlons("_ZdaPvSt11align_val_t");
    is_merlons("_ZdlPvSt11align_val_tRKSt9nothrow_t");
    is_merlons("_ZdaPvSt11align_val_tRKSt9nothrow_t");
#ifdef __LP64__
    is_merlons("_Znwm");
    is_merlons("_Znam");
    is_merlons("_ZnwmRKSt9nothrow_t");
    is_merlons("_ZnamRKSt9nothrow_t");
    is_merlons("_ZnwmSt11align_val_t");
    is_merlons("_ZnamSt11align_val_t");
    is_merlons("_ZnwmSt11align_val_tRKSt9nothrow_t");
    is_merlons("_ZnamSt11align_val_tRKSt9nothrow_t");
    is_merlons("_ZdlPvm");
    is_merlons("_ZdaPvm");
    is_merlons("_ZdlPvmSt11align_val_t");
    is_merlons("_ZdaPvmSt11align_val_t");
#endif
}

static void *check(void *p, size_t bytes, size_t alignment)
{
    p = hide(p);
    EXPECT(p != nullptr);
    EXPECT(is_aligned(p, alignment));
    EXPECT(is_aligned(p, 16));
    EXPECT(malloc_usable_size(p) >= bytes);
    memset(p, 0xa5, bytes);
    return p;
}

static void *make(int form, size_t n)
{
    return check(form == 0   ? ::operator new(n)
                 : form == 1 ? ::operator new(n, nothrow)
                 : form == 2 ? ::operator new[](n)
                             : ::operator new[](n, nothrow),
                 n, 16);
}

static void plain(size_t n)
{
    for (int form = 0; form < 2; form++) {
        ::operator delete(make(form, n));
        ::operator delete(make(form, n), n);
        ::operator delete(make(form, n), nothrow);
        ::operator delete[](make(form + 2, n));
        ::operator delete[](make(form + 2, n), n);
        ::operator delete[](make(form + 2, n), nothrow);
    }
    free(make(0, n)); // not legal, but done
    ::operator delete(hide(malloc(n)));
}

static void *make(int form, size_t n, align_val_t a)
{
    return check(form == 0   ? ::operator new(n, a)
                 : form == 1 ? ::operator new(n, a, nothrow)
                 : form == 2 ? ::operator new[](n, a)
                             : ::operator new[](n, a, nothrow),
                 n, size_t(a));
}

static void aligned(size_t n, align_val_t a)
{
    for (int form = 0; form < 2; form++) {
        ::operator delete(make(form, n, a), a);
        ::operator delete(make(form, n, a), n, a);
        ::operator delete(make(form, n, a), a, nothrow);
        ::operator delete[](make(form + 2, n, a), a);
        ::operator delete[](make(form + 2, n, a), n, a);
        ::operator delete[](make(form + 2, n, a), a, nothrow);
    }
}

static void *nil()
{
    return hide(static_cast<void *>(nullptr));
}

static void null()
{
    align_val_t a{64};

    ::operator delete(nil());
    ::operator delete(nil(), size_t(8));
    ::operator delete(nil(), nothrow);
    ::operator delete[](nil());
    ::operator delete[](nil(), size_t(8));
    ::operator delete[](nil(), nothrow);
    ::operator delete(nil(), a);
    ::operator delete(nil(), 8, a);
    ::operator delete(nil(), a, nothrow);
    ::operator delete[](nil(), a);
    ::operator delete[](nil(), 8, a);
    ::operator delete[](nil(), a, nothrow);
}

int main()
{
    all_are_merlons();
    for (size_t n : sizes) {
        plain(n);
        for (size_t a : alignments)
            aligned(n, align_val_t(a));
    }
    null();

    // Zero bytes: an object of its own each time.
    void *one = hide(::operator new(0)), *two = hide(::operator new(0));
    EXPECT(one != two);
    ::operator delete(one);
    ::operator delete(two);
    return 0;
}
