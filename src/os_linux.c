/* SPDX-License-Identifier: MIT */
/*
 * os_linux.c - the contract of os.h on Linux.
 *
 * Raw system calls, so that nothing another library interposes (mmap,
 * madvise, open) can call back into the allocator, and so that errno is ours
 * to keep. Only getauxval, the loader's list of modules and the vDSO clock are
 * taken from libc: none of them allocates.
 */
#include "policy.h" /* first: it asks libc for all its declarations */

#include "os.h"
#include "os_modules.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <signal.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#define MADV_GUARD_REMOVE 103
#endif
#ifndef MADV_WIPEONFORK
#define MADV_WIPEONFORK 18
#endif
#ifndef SYS_mseal
#define SYS_mseal 462
#endif

/* Guards by PROT_NONE cost two mappings each; 65530 is the usual limit. */
enum { GUARD_MAPPING_BUDGET = 8000 };

static bool guard_installed; /* somewhere, once */
static bool guard_install_refused;
unsigned os_guard_mappings;

/* A system call that leaves errno alone. */
static long call6(long number, long a, long b, long c, long d, long e, long f)
{
    int saved = errno;
    long result = syscall(number, a, b, c, d, e, f);

    errno = saved;
    return result;
}

static void *map(void *at, size_t bytes, int protection, int flags)
{
#ifdef SYS_mmap2
    long number = SYS_mmap2;
#else
    long number = SYS_mmap;
#endif
    long result = call6(number, (long)at, (long)bytes, protection,
                        MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);

    return result == -1 ? NULL : (void *)result;
}

static bool advise(void *p, size_t bytes, int advice)
{
    return call6(SYS_madvise, (long)p, (long)bytes, advice, 0, 0, 0) == 0;
}

static bool protect(void *p, size_t bytes, int protection)
{
    return call6(SYS_mprotect, (long)p, (long)bytes, protection, 0, 0, 0) == 0;
}

size_t os_page_bytes(void)
{
    /* glibc and musl keep it in memory of their own: no system call. */
    static EARLY size_t cached;
    size_t bytes = __atomic_load_n(&cached, __ATOMIC_RELAXED);

    if (unlikely(bytes == 0)) {
        bytes = getauxval(AT_PAGESZ);
        if (bytes == 0)
            bytes = 4096;
        /* Relaxed: every thread computes the same value. */
        __atomic_store_n(&cached, bytes, __ATOMIC_RELAXED);
    }
    return bytes;
}

/*
 * qemu-user says yes to MADV_GUARD_INSTALL and does nothing: seen by a byte
 * that survives. (It also forgets what MREMAP_DONTUNMAP leaves behind.) Asked
 * once, of a page whose contents do not matter, and not on x86, where nobody
 * emulates.
 */
bool os_kernel_is_real(void *p)
{
#if defined(__x86_64__) || defined(__i386__)
    (void)p;
    return true;
#else
    static int known; /* 0 not yet, 1 real, 2 pretended */
    volatile unsigned char *byte = p;

    if (__atomic_load_n(&known, __ATOMIC_RELAXED) == 0) {
        *byte = 1;
        bool zapped = advise(p, os_page_bytes(), MADV_GUARD_INSTALL)
            && advise(p, os_page_bytes(), MADV_GUARD_REMOVE) && *byte == 0;
        __atomic_store_n(&known, zapped ? 1 : 2, __ATOMIC_RELAXED);
    }
    return __atomic_load_n(&known, __ATOMIC_RELAXED) == 1;
#endif
}

void *os_reserve(size_t bytes)
{
    void *p = map(NULL, bytes, PROT_NONE, MAP_NORESERVE);

    if (p)
        advise(p, bytes, MADV_DONTDUMP);
    return p;
}

bool os_release(void *p, size_t bytes)
{
    return call6(SYS_munmap, (long)p, (long)bytes, 0, 0, 0, 0) == 0;
}

bool os_commit(void *p, size_t bytes)
{
    return protect(p, bytes, PROT_READ | PROT_WRITE);
}

bool os_decommit(void *p, size_t bytes)
{
    return map(p, bytes, PROT_NONE, MAP_FIXED | MAP_NORESERVE) != NULL;
}

bool os_close(void *p, size_t bytes)
{
    return protect(p, bytes, PROT_NONE);
}

bool os_purge(void *p, size_t bytes)
{
    return advise(p, bytes, MADV_DONTNEED);
}

bool os_guard(void *p, size_t bytes)
{
    /* Relaxed, both flags: what was found out, once and for all. */
    if (os_guards_are_cheap()) {
        if (os_kernel_is_real(p) && advise(p, bytes, MADV_GUARD_INSTALL)) {
            __atomic_store_n(&guard_installed, true, __ATOMIC_RELAXED);
            return true;
        }
        /* An old kernel, mlockall, a sandbox: do not ask again. */
        __atomic_store_n(&guard_install_refused, true, __ATOMIC_RELAXED);
    }
    /* Relaxed: a budget, not a promise. */
    if (__atomic_add_fetch(&os_guard_mappings, 2, __ATOMIC_RELAXED)
            <= GUARD_MAPPING_BUDGET) {
        advise(p, bytes, MADV_DONTNEED);
        if (protect(p, bytes, PROT_NONE))
            return true;
    }
    __atomic_sub_fetch(&os_guard_mappings, 2, __ATOMIC_RELAXED);
    return false;
}

bool os_unguard(void *p, size_t bytes)
{
    /* Pages guarded while INSTALL worked need REMOVE, others mprotect; a
       range may have known both, and each call is harmless on the other. */
    bool removed = advise(p, bytes, MADV_GUARD_REMOVE);

    /* What was installed here may still be: not even mprotect opens it. */
    if (!removed && __atomic_load_n(&guard_installed, __ATOMIC_RELAXED))
        return false;
    if (os_guards_are_cheap())
        return removed;
    if (!protect(p, bytes, PROT_READ | PROT_WRITE))
        return false;
    /* Relaxed: a budget. Some were guarded without a mapping, so stop at 0. */
    if (__atomic_load_n(&os_guard_mappings, __ATOMIC_RELAXED) >= 2)
        __atomic_sub_fetch(&os_guard_mappings, 2, __ATOMIC_RELAXED);
    return true;
}

bool os_guards_are_cheap(void)
{
    return !__atomic_load_n(&guard_install_refused, __ATOMIC_RELAXED);
}

bool os_protect_read(void *p, size_t bytes)
{
    return protect(p, bytes, PROT_READ);
}

/* Does the kernel say that no filter is in force? A filter can be there from
   the very start (systemd), but reading a file is what any program does. */
static bool is_unfiltered(void)
{
    static const char wanted[] = "\nSeccomp:\t0\n";
    static int known; /* 0 not yet, 1 no filter, 2 a filter, or not known */
    char status[2048];

    if (known == 0) {
        long file = call6(SYS_openat, AT_FDCWD, (long)"/proc/self/status",
                          O_RDONLY | O_CLOEXEC, 0, 0, 0);
        long length = file < 0 ? -1
            : call6(SYS_read, file, (long)status, sizeof status - 1, 0, 0, 0);
        status[length > 0 ? length : 0] = '\0';
        if (file >= 0)
            call6(SYS_close, file, 0, 0, 0, 0, 0);
        known = strstr(status, wanted) ? 1 : 2;
    }
    return known == 1;
}

bool os_seal(void *p, size_t bytes)
{
    return sizeof(void *) == 8 && is_unfiltered()
        && call6(SYS_mseal, (long)p, (long)bytes, 0, 0, 0, 0) == 0;
}

void os_huge_pages(void *p, size_t bytes)
{
    advise(p, bytes, MADV_HUGEPAGE);
}

void os_no_huge_pages(void *p, size_t bytes)
{
    advise(p, bytes, MADV_NOHUGEPAGE);
}

bool os_dump(void *p, size_t bytes)
{
    advise(p, bytes, MADV_DODUMP);
    return true;
}

bool os_wipe_on_fork(void *p, size_t bytes)
{
    return advise(p, bytes, MADV_WIPEONFORK);
}

uint64_t os_clock_ms(void)
{
    struct timespec now;

    if (clock_gettime(CLOCK_MONOTONIC_COARSE, &now) != 0)
        return 0;
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

uint64_t os_clock_ns(void)
{
    struct timespec now;

    if (clock_gettime(CLOCK_MONOTONIC, &now) != 0)
        return 0;
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

bool os_has_random(void)
{
    char byte;

    return call6(SYS_getrandom, (long)&byte, 1, 0, 0, 0, 0) == 1;
}

bool os_is_privileged(void)
{
    return getauxval(AT_SECURE) != 0;
}

const char *os_environment(const char *name)
{
    size_t length = strlen(name);

    if (os_is_privileged() || !environ)
        return NULL;
    for (char **entry = environ; *entry; entry++) {
        if (strncmp(*entry, name, length) == 0 && (*entry)[length] == '=')
            return *entry + length + 1;
    }
    return NULL;
}

const char *os_program_name(void)
{
    /* What the kernel was asked to execute; a program cannot change it. */
    const char *path = (const char *)getauxval(AT_EXECFN);

    if (!path || !*path)
        return "program";
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

int os_file_open(const char *path)
{
    /* Not waiting for the other end of a pipe, taking no terminal. */
    int flags = O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;

    return (int)call6(SYS_openat, AT_FDCWD, (long)path, flags, 0, 0, 0);
}

size_t os_file_read(int file, void *to, size_t room)
{
    long count = call6(SYS_read, file, (long)to, (long)room, 0, 0, 0);

    return count > 0 ? (size_t)count : 0;
}

void os_file_close(int file)
{
    call6(SYS_close, file, 0, 0, 0, 0, 0);
}

static bool fill_file(int file, size_t bytes, unsigned char fill)
{
    unsigned char block[512];

    memset(block, fill, sizeof block);
    /* By writing: a hole would be a SIGBUS when the disk is full. */
    for (size_t at = 0; at < bytes; at += sizeof block)
        if (call6(SYS_write, file, (long)block, sizeof block, 0, 0, 0)
            != sizeof block)
            return false;
    return true;
}

void *os_file_map(const char *path, size_t bytes, unsigned char fill)
{
#ifdef SYS_mmap2
    long number = SYS_mmap2;
#else
    long number = SYS_mmap;
#endif
    int flags = O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOCTTY | O_NOFOLLOW;
    long p = -1;

    /* Never shortened: another process may have it mapped. */
    call6(SYS_unlinkat, AT_FDCWD, (long)path, 0, 0, 0, 0);
    int file = (int)call6(SYS_openat, AT_FDCWD, (long)path, flags, 0644, 0, 0);
    if (file < 0)
        return NULL;
    if (fill_file(file, bytes, fill))
        p = call6(number, 0, (long)bytes, PROT_READ | PROT_WRITE, MAP_SHARED,
                  file, 0);
    os_file_close(file);
    return p == -1 ? NULL : (void *)p;
}

void os_write(int descriptor, const void *bytes, size_t count)
{
    call6(SYS_write, descriptor, (long)bytes, (long)count, 0, 0, 0);
}

bool os_file_identity(int descriptor, struct os_file *file)
{
    struct stat status;
    int saved = errno;
    bool known = fstat(descriptor, &status) == 0;

    errno = saved;
    if (known) {
        file->device = status.st_dev;
        file->inode = status.st_ino;
    }
    return known;
}

/* glibc 2.32 and later; elsewhere nobody knows. */
extern char single_threaded __asm__("__libc_single_threaded")
    __attribute__((weak));

bool os_is_alone(void)
{
    return &single_threaded != NULL && single_threaded != 0;
}

unsigned os_process_id(void)
{
    long number = call6(SYS_getpid, 0, 0, 0, 0, 0, 0);

    return number > 0 ? (unsigned)number : 0;
}

/* A lock with priority inheritance that nobody holds becomes ours: the kernel
   writes our number into it, and knows nothing of it afterwards. */
unsigned os_thread_id(void)
{
    uint32_t word = 0;

    if (call6(SYS_futex, (long)&word, FUTEX_LOCK_PI_PRIVATE, 0, 0, 0, 0) == 0)
        return word & FUTEX_TID_MASK;
    return (unsigned)call6(SYS_gettid, 0, 0, 0, 0, 0, 0);
}

uintptr_t os_first_stack_end(void)
{
    return getauxval(AT_RANDOM);
}

/*
 * Is the address in a segment of the module? Its program headers are read where
 * the kernel (the program) or the file's first page (others) has them.
 */
static bool module_has(const struct link_map *map, uintptr_t place)
{
    const ElfW(Ehdr) *file = (const ElfW(Ehdr) *)map->l_addr;
    const ElfW(Phdr) *segment = (const ElfW(Phdr) *)getauxval(AT_PHDR);
    size_t count = getauxval(AT_PHNUM);

    if (map->l_name && *map->l_name) {
        /* It may be gone by now, or begin elsewhere. */
        if (!os_can_read(file)
            || memcmp(file->e_ident, ELFMAG, SELFMAG) != 0
            || file->e_phoff + file->e_phnum * sizeof *segment
               > os_page_bytes())
            return false;
        segment = (const ElfW(Phdr) *)((uintptr_t)file + file->e_phoff);
        count = file->e_phnum;
    }
    for (size_t i = 0; segment && i < count; i++) {
        if (segment[i].p_type == PT_LOAD
            && place - map->l_addr - segment[i].p_vaddr < segment[i].p_memsz)
            return true;
    }
    return false;
}

/*
 * The loader's list of modules, walked without its lock: a module that is
 * being unloaded at this instant could mislead the line, nothing else.
 */
bool os_module_of(const void *address, const char **name, uintptr_t *offset)
{
    uintptr_t place = (uintptr_t)address;
    const struct link_map *best = NULL;

    for (const struct link_map *map = os_modules(); map; map = map->l_next) {
        /* The module with the highest base below the address. */
        if (map->l_addr <= place && (!best || map->l_addr > best->l_addr))
            best = map;
    }
    if (!best || !module_has(best, place))
        return false;
    const char *path = best->l_name;
    const char *slash = path ? strrchr(path, '/') : NULL;

    /* The program itself has no name there. */
    *name = slash ? slash + 1 : path && *path ? path : os_program_name();
    *offset = place - best->l_addr;
    return true;
}

void os_abort(void)
{
    uint64_t all = ~UINT64_C(0), abort_only = UINT64_C(1) << (SIGABRT - 1);
    struct sigaction action;

    memset(&action, 0, sizeof action);
    action.sa_handler = SIG_DFL;
    /* No handler of the program may run now: it could allocate. */
    call6(SYS_rt_sigprocmask, SIG_SETMASK, (long)&all, 0, 8, 0, 0);
    sigaction(SIGABRT, &action, NULL);
    call6(SYS_tgkill, os_process_id(), os_thread_id(), SIGABRT, 0, 0, 0);
    /* A sandbox may keep our number from us. */
    call6(SYS_tkill, os_thread_id(), SIGABRT, 0, 0, 0, 0);
    call6(SYS_rt_sigprocmask, SIG_UNBLOCK, (long)&abort_only, 0, 8, 0, 0);
    /* Filtered: end by an illegal instruction, whatever happens. */
    for (;;)
        __builtin_trap();
}
