/* SPDX-License-Identifier: MIT */
/*
 * cxx.c - the 20 replaceable operators new and delete, in C.
 *
 * BUILD: this file wants -fexceptions: a new-handler, std::bad_alloc and a
 * program's own operator new throw through these functions. (Where unwind
 * tables are emitted for everything, as on x86-64, it works without.) Never
 * link with -Bsymbolic: the calls below must be interposable. A static C++
 * program is linked with -u _ZSt17__throw_bad_allocv -u _ZSt15get_new_handlerv,
 * which a weak reference alone does not take from libstdc++.a.
 *
 * Nothing links libstdc++: what is needed of it is found through weak
 * references, or by dlsym when it was loaded after us; both only when memory is
 * out or the program replaced an operator. No C++ library at all: operator new
 * that fails prints a line and ends the process.
 *
 * A program may replace some of the operators. As in libstdc++ only two forms
 * allocate and two free: every other calls the one below it through its public
 * symbol, so that it finds the program's:
 *
 *     new[] nothrow -> new[] -> new        delete[] sized -> delete[] -> delete
 *     new nothrow   -> new                 delete sized   -> delete
 *     and the same tree for the aligned forms.
 *
 * Where the whole way below is ours the forms go straight to the allocator,
 * which saves calls and keeps the size that delete was told. The symbols are
 * weak, so that in the static library too the program's own come first.
 *
 * Two things differ from libstdc++ 12, both on purpose: the size of an aligned
 * new is not rounded up to the alignment (there it wraps around to a tiny
 * object for sizes near SIZE_MAX), and a delete that knows its size has it
 * checked.
 */
#include <dlfcn.h>

#include "cxx_memory.h"
#include "os.h"
#include "policy.h"

/* In a static program these are NULL rather than pulled in. */
#pragma weak dlopen
#pragma weak dlclose
#pragma weak dlsym

/* size_t as C++ mangles it. */
#if __SIZEOF_SIZE_T__ == 8
#define Z "m"
#else
#define Z "j"
#endif

/* ---- names ------------------------------------------------------------- */

/* Weak alone does not keep gcc's link-time optimiser from binding calls. */
#if defined(__clang__)
#define INTERPOSABLE __attribute__((weak))
#else
#define INTERPOSABLE __attribute__((weak, noipa))
#endif
#define SYMBOL(name) __asm__(name) INTERPOSABLE MERLON_EXPORT

void *cxx_new(size_t bytes) SYMBOL("_Znw" Z);
void *cxx_new_array(size_t bytes) SYMBOL("_Zna" Z);
void *cxx_new_nothrow(size_t bytes, const void *tag)
    SYMBOL("_Znw" Z "RKSt9nothrow_t");
void *cxx_new_array_nothrow(size_t bytes, const void *tag)
    SYMBOL("_Zna" Z "RKSt9nothrow_t");
void *cxx_new_aligned(size_t bytes, size_t alignment)
    SYMBOL("_Znw" Z "St11align_val_t");
void *cxx_new_array_aligned(size_t bytes, size_t alignment)
    SYMBOL("_Zna" Z "St11align_val_t");
void *cxx_new_aligned_nothrow(size_t bytes, size_t alignment, const void *tag)
    SYMBOL("_Znw" Z "St11align_val_tRKSt9nothrow_t");
void *cxx_new_array_aligned_nothrow(size_t bytes, size_t alignment,
                                    const void *tag)
    SYMBOL("_Zna" Z "St11align_val_tRKSt9nothrow_t");

void cxx_delete(void *p) SYMBOL("_ZdlPv");
void cxx_delete_array(void *p) SYMBOL("_ZdaPv");
void cxx_delete_sized(void *p, size_t bytes) SYMBOL("_ZdlPv" Z);
void cxx_delete_array_sized(void *p, size_t bytes) SYMBOL("_ZdaPv" Z);
void cxx_delete_nothrow(void *p, const void *tag)
    SYMBOL("_ZdlPvRKSt9nothrow_t");
void cxx_delete_array_nothrow(void *p, const void *tag)
    SYMBOL("_ZdaPvRKSt9nothrow_t");
void cxx_delete_aligned(void *p, size_t alignment)
    SYMBOL("_ZdlPvSt11align_val_t");
void cxx_delete_array_aligned(void *p, size_t alignment)
    SYMBOL("_ZdaPvSt11align_val_t");
void cxx_delete_sized_aligned(void *p, size_t bytes, size_t alignment)
    SYMBOL("_ZdlPv" Z "St11align_val_t");
void cxx_delete_array_sized_aligned(void *p, size_t bytes, size_t alignment)
    SYMBOL("_ZdaPv" Z "St11align_val_t");
void cxx_delete_aligned_nothrow(void *p, size_t alignment, const void *tag)
    SYMBOL("_ZdlPvSt11align_val_tRKSt9nothrow_t");
void cxx_delete_array_aligned_nothrow(void *p, size_t alignment,
                                      const void *tag)
    SYMBOL("_ZdaPvSt11align_val_tRKSt9nothrow_t");

/* Our own definitions of the forms that others call, whoever is first. */
#define OWN(name) __attribute__((alias(name))) HIDDEN
extern __typeof(cxx_new) cxx_own_new OWN("_Znw" Z);
extern __typeof(cxx_new_array) cxx_own_new_array OWN("_Zna" Z);
extern __typeof(cxx_new_aligned) cxx_own_new_aligned
    OWN("_Znw" Z "St11align_val_t");
extern __typeof(cxx_new_array_aligned) cxx_own_new_array_aligned
    OWN("_Zna" Z "St11align_val_t");
extern __typeof(cxx_delete) cxx_own_delete OWN("_ZdlPv");
extern __typeof(cxx_delete_array) cxx_own_delete_array OWN("_ZdaPv");
extern __typeof(cxx_delete_aligned) cxx_own_delete_aligned
    OWN("_ZdlPvSt11align_val_t");
extern __typeof(cxx_delete_array_aligned) cxx_own_delete_array_aligned
    OWN("_ZdaPvSt11align_val_t");

/* Does `form` resolve to what stands here? One load from the GOT. */
#define IS_OWN(form)                          \
    cxx_is_same((cxx_function *)cxx_##form,   \
                (cxx_function *)cxx_own_##form)

typedef void cxx_function(void);

/* 1 or 0: several answers are joined with & and cost one branch. */
static ALWAYS_INLINE unsigned cxx_is_same(cxx_function *used, cxx_function *own)
{
    /* The compiler sees an alias; what it resolves to, only the loader. */
    __asm__("" : "+r"(used));
    return used == own;
}

/* ---- the C++ library, if there is one ---------------------------------- */

/* std::get_new_handler() and std::__throw_bad_alloc() */
#define GET_NEW_HANDLER "_ZSt15get_new_handlerv"
#define THROW_BAD_ALLOC "_ZSt17__throw_bad_allocv"

extern cxx_function *cxx_get_new_handler(void) __asm__(GET_NEW_HANDLER)
    __attribute__((weak));
extern void cxx_throw_bad_alloc(void) __asm__(THROW_BAD_ALLOC)
    __attribute__((weak));

/*
 * A function of the C++ library that is loaded, wherever in the process, or
 * NULL. By the library's name and not by RTLD_NEXT: the next operator new may
 * be that of another allocator. The reference to the library is kept, because
 * so may be what is returned.
 */
static COLD void *cxx_find(const char *name)
{
    static const char *const libraries[] = {"libstdc++.so.6", "libc++.so.1"};
    void *found = NULL;

    if (dlopen == NULL || dlsym == NULL || dlclose == NULL)
        return NULL;
    for (size_t i = 0; i < 2 && found == NULL; i++) {
        void *library = dlopen(libraries[i], RTLD_LAZY | RTLD_NOLOAD);
        if (library == NULL)
            continue;
        found = dlsym(library, name);
        if (found == NULL)
            dlclose(library);
    }
    return found;
}

static cxx_function *cxx_handler(void)
{
    cxx_function *(*get)(void) = cxx_get_new_handler;

    if (get == NULL)
        get = (cxx_function * (*)(void)) cxx_find(GET_NEW_HANDLER);
    return get != NULL ? get() : NULL;
}

static COLD NORETURN void cxx_fail(void)
{
    static const char text[] =
        "merlon: out of memory in operator new, and no C++ library here "
        "that could throw std::bad_alloc\n";
    void (*throw_bad_alloc)(void) = cxx_throw_bad_alloc;

    if (throw_bad_alloc == NULL)
        throw_bad_alloc = (void (*)(void))cxx_find(THROW_BAD_ALLOC);
    if (throw_bad_alloc != NULL)
        throw_bad_alloc();
    face_print(text, sizeof text - 1);
    os_abort();
}

/* ---- allocation, and what follows when it fails ------------------------- */

/*
 * The first try failed: let the program's new-handler make room for as long as
 * it will, then throw. The handler may throw itself, or not return. 0 stands
 * for the usual alignment.
 */
static COLD void *cxx_retry(size_t bytes, size_t alignment)
{
    void *p = NULL;

    while (p == NULL) {
        cxx_function *handler = cxx_handler();
        if (handler == NULL)
            cxx_fail();
        handler();
        p = alignment == 0 ? cxx_malloc(bytes)
                           : cxx_aligned_alloc(alignment, bytes);
    }
    return p;
}

static ALWAYS_INLINE void *cxx_take(size_t bytes)
{
    void *p = cxx_malloc(bytes);

    return likely(p != NULL) ? p : cxx_retry(bytes, 0);
}

static ALWAYS_INLINE void *cxx_take_aligned(size_t bytes, size_t alignment)
{
    /* No handler can make room for a wrong alignment, 0 being one. */
    if (unlikely(!is_power_of_two(alignment)))
        cxx_fail();
    void *p = cxx_aligned_alloc(alignment, bytes);
    return likely(p != NULL) ? p : cxx_retry(bytes, alignment);
}

void *cxx_new(size_t bytes)
{
    return cxx_take(bytes);
}

void *cxx_new_array(size_t bytes)
{
    return IS_OWN(new) ? cxx_take(bytes) : cxx_new(bytes);
}

void *cxx_new_aligned(size_t bytes, size_t alignment)
{
    return cxx_take_aligned(bytes, alignment);
}

void *cxx_new_array_aligned(size_t bytes, size_t alignment)
{
    return IS_OWN(new_aligned) ? cxx_take_aligned(bytes, alignment)
                               : cxx_new_aligned(bytes, alignment);
}

/* ---- new that returns NULL ---------------------------------------------- */

/*
 * C can let an exception pass, but not catch it. So when there may be one,
 * because the program replaced the form below or set a new-handler, the C++
 * library's own nothrow form is called: it calls the form below through its
 * symbol, with a try and a catch around.
 */
enum cxx_form {
    FORM_NEW,
    FORM_ARRAY,
    FORM_ALIGNED,
    FORM_ALIGNED_ARRAY,
    FORM_COUNT
};

static const char *const cxx_nothrow_names[FORM_COUNT] = {
    [FORM_NEW] = "_Znw" Z "RKSt9nothrow_t",
    [FORM_ARRAY] = "_Zna" Z "RKSt9nothrow_t",
    [FORM_ALIGNED] = "_Znw" Z "St11align_val_tRKSt9nothrow_t",
    [FORM_ALIGNED_ARRAY] = "_Zna" Z "St11align_val_tRKSt9nothrow_t",
};

enum { NOTHROW_EMPTY, NOTHROW_BUSY, NOTHROW_READY };

/* Pointers to code do not lie about writable: a page that is sealed. */
enum { NOTHROW_ALIGNMENT = SEALED_STATE ? ABI_PAGE_BYTES : 16 };

static struct {
    void *form[FORM_COUNT];
} __attribute__((aligned(NOTHROW_ALIGNMENT))) cxx_nothrow;
static int cxx_nothrow_state;

/*
 * Fill cxx_nothrow, once. Nobody waits: who comes while another thread is
 * filling, or in a child that was forked meanwhile, does without.
 */
static COLD void cxx_nothrow_fill(void)
{
    int state = NOTHROW_EMPTY;
    int next = NOTHROW_READY;
    void *form[FORM_COUNT];

    /* Relaxed: the winner reads nothing that another thread wrote. */
    if (!__atomic_compare_exchange_n(&cxx_nothrow_state, &state, NOTHROW_BUSY,
                                     false, __ATOMIC_RELAXED,
                                     __ATOMIC_RELAXED))
        return;
    for (size_t i = 0; i < FORM_COUNT; i++) {
        form[i] = cxx_find(cxx_nothrow_names[i]);
        if (form[i] == NULL)
            next = NOTHROW_EMPTY; /* The library may come later. */
    }
    if (next == NOTHROW_READY) {
        for (size_t i = 0; i < FORM_COUNT; i++)
            cxx_nothrow.form[i] = form[i];
        if (SEALED_STATE)
            os_protect_read(&cxx_nothrow, sizeof cxx_nothrow);
    }
    /* Release: who sees READY sees the table. */
    __atomic_store_n(&cxx_nothrow_state, next, __ATOMIC_RELEASE);
}

static void *cxx_nothrow_form(enum cxx_form form)
{
    /* Acquire: pairs with the release above. */
    if (__atomic_load_n(&cxx_nothrow_state, __ATOMIC_ACQUIRE) != NOTHROW_READY)
        cxx_nothrow_fill();
    if (__atomic_load_n(&cxx_nothrow_state, __ATOMIC_ACQUIRE) != NOTHROW_READY)
        return cxx_find(cxx_nothrow_names[form]);
    return cxx_nothrow.form[form];
}

/*
 * Nothing replaced, but the first try failed. A handler that cannot be called
 * safely, because nobody would catch what it throws, is not called.
 */
static COLD void *cxx_retry_nothrow(enum cxx_form form, size_t bytes,
                                    size_t alignment, const void *tag)
{
    void *(*plain)(size_t, const void *);
    void *(*aligned)(size_t, size_t, const void *);
    cxx_function *handler = cxx_handler();
    void *catcher;

    if (handler == NULL)
        return NULL;
    catcher = cxx_nothrow_form(form);
    if (catcher == NULL)
        return NULL;
    if (form == FORM_NEW || form == FORM_ARRAY) {
        plain = (void *(*)(size_t, const void *))catcher;
        return plain(bytes, tag);
    }
    aligned = (void *(*)(size_t, size_t, const void *))catcher;
    return aligned(bytes, alignment, tag);
}

void *cxx_new_nothrow(size_t bytes, const void *tag)
{
    if (!IS_OWN(new)) {
        __typeof(cxx_new_nothrow) *catcher = cxx_nothrow_form(FORM_NEW);
        return catcher != NULL ? catcher(bytes, tag) : cxx_new(bytes);
    }
    void *p = cxx_malloc(bytes);
    return likely(p != NULL) ? p
                             : cxx_retry_nothrow(FORM_NEW, bytes, 0, tag);
}

void *cxx_new_array_nothrow(size_t bytes, const void *tag)
{
    if (!IS_OWN(new_array) || !IS_OWN(new)) {
        __typeof(cxx_new_nothrow) *catcher = cxx_nothrow_form(FORM_ARRAY);
        return catcher != NULL ? catcher(bytes, tag) : cxx_new_array(bytes);
    }
    void *p = cxx_malloc(bytes);
    return likely(p != NULL) ? p
                             : cxx_retry_nothrow(FORM_ARRAY, bytes, 0, tag);
}

void *cxx_new_aligned_nothrow(size_t bytes, size_t alignment, const void *tag)
{
    if (!IS_OWN(new_aligned)) {
        __typeof(cxx_new_aligned_nothrow) *catcher =
            cxx_nothrow_form(FORM_ALIGNED);
        return catcher != NULL ? catcher(bytes, alignment, tag)
                               : cxx_new_aligned(bytes, alignment);
    }
    if (unlikely(!is_power_of_two(alignment)))
        return NULL;
    void *p = cxx_aligned_alloc(alignment, bytes);
    return likely(p != NULL)
               ? p
               : cxx_retry_nothrow(FORM_ALIGNED, bytes, alignment, tag);
}

void *cxx_new_array_aligned_nothrow(size_t bytes, size_t alignment,
                                    const void *tag)
{
    if (!IS_OWN(new_array_aligned) || !IS_OWN(new_aligned)) {
        __typeof(cxx_new_aligned_nothrow) *catcher =
            cxx_nothrow_form(FORM_ALIGNED_ARRAY);
        return catcher != NULL ? catcher(bytes, alignment, tag)
                               : cxx_new_array_aligned(bytes, alignment);
    }
    if (unlikely(!is_power_of_two(alignment)))
        return NULL;
    void *p = cxx_aligned_alloc(alignment, bytes);
    return likely(p != NULL)
               ? p
               : cxx_retry_nothrow(FORM_ALIGNED_ARRAY, bytes, alignment, tag);
}

/* ---- delete ------------------------------------------------------------- */

void cxx_delete(void *p)
{
    cxx_free(p);
}

void cxx_delete_array(void *p)
{
    if (IS_OWN(delete))
        cxx_free(p);
    else
        cxx_delete(p);
}

/*
 * What delete was told is checked only where new is ours too: a program's own
 * may have asked for more, say to keep a header before the object.
 */
void cxx_delete_sized(void *p, size_t bytes)
{
    if (unlikely(!(IS_OWN(delete) & IS_OWN(new))))
        cxx_delete(p);
    else
        cxx_free_sized(p, bytes, 0);
}

void cxx_delete_array_sized(void *p, size_t bytes)
{
    if (unlikely(!(IS_OWN(delete_array) & IS_OWN(delete) &
                   IS_OWN(new_array) & IS_OWN(new))))
        cxx_delete_array(p);
    else
        cxx_free_sized(p, bytes, 0);
}

void cxx_delete_nothrow(void *p, const void *tag)
{
    (void)tag;
    cxx_delete(p);
}

void cxx_delete_array_nothrow(void *p, const void *tag)
{
    (void)tag;
    cxx_delete_array(p);
}

void cxx_delete_aligned(void *p, size_t alignment)
{
    (void)alignment;
    cxx_free(p);
}

void cxx_delete_array_aligned(void *p, size_t alignment)
{
    cxx_delete_aligned(p, alignment);
}

void cxx_delete_sized_aligned(void *p, size_t bytes, size_t alignment)
{
    if (unlikely(!(IS_OWN(delete_aligned) & IS_OWN(new_aligned))))
        cxx_delete_aligned(p, alignment);
    else
        cxx_free_sized(p, bytes, alignment);
}

void cxx_delete_array_sized_aligned(void *p, size_t bytes, size_t alignment)
{
    if (unlikely(!(IS_OWN(delete_array_aligned) & IS_OWN(delete_aligned) &
                   IS_OWN(new_array_aligned) & IS_OWN(new_aligned))))
        cxx_delete_array_aligned(p, alignment);
    else
        cxx_free_sized(p, bytes, alignment);
}

void cxx_delete_aligned_nothrow(void *p, size_t alignment, const void *tag)
{
    (void)tag;
    cxx_delete_aligned(p, alignment);
}

void cxx_delete_array_aligned_nothrow(void *p, size_t alignment,
                                      const void *tag)
{
    (void)tag;
    cxx_delete_array_aligned(p, alignment);
}
