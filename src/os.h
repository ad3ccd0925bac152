/* SPDX-License-Identifier: MIT */
/*
 * os.h - the contract with the kernel.
 *
 * Common to all: lengths are in bytes and multiples of the page size,
 * addresses are page aligned, errno is kept, false or NULL means "refused",
 * and every refusal of an optional call is harmless. After start only mmap,
 * munmap, mremap, mprotect, madvise, futex and getrandom may be used: a
 * sandbox may kill the process for anything else. Each function says whether
 * it is for start only.
 */
#ifndef MERLON_OS_H
#define MERLON_OS_H

#include "base.h"

/* Size of a page. Valid from the first call on, without initialisation. */
size_t os_page_bytes(void);

/* Address space without memory: inaccessible, not counted, not dumped, not even
   by gcore, which would write all of it. */
void *os_reserve(size_t bytes);

/* The same at this very place. False: something else is there. */
bool os_reserve_at(void *p, size_t bytes);

/* Give address space back. */
bool os_release(void *p, size_t bytes);

/* Make reserved memory readable and writable; idempotent. */
bool os_commit(void *p, size_t bytes);

/* Make memory inaccessible and free its pages. */
bool os_decommit(void *p, size_t bytes);

/* Make memory inaccessible; its pages stay until they are purged. Splits the
   mapping in three. */
bool os_close(void *p, size_t bytes);

/* Free the pages. True: they read as zeros now. False: contents are kept. */
bool os_purge(void *p, size_t bytes);

/*
 * Make pages fault without splitting the mapping (MADV_GUARD_INSTALL, Linux
 * 6.13), or where the kernel has it not, by PROT_NONE inside a budget of
 * mappings. Contents are lost. False: not guarded.
 */
bool os_guard(void *p, size_t bytes);

/* Undo os_guard; the pages read as zeros. */
bool os_unguard(void *p, size_t bytes);

/* Mappings that guards have cost so far, about. For publish.c. */
extern unsigned os_guard_mappings;

/* True when guards cost no mapping. */
bool os_guards_are_cheap(void);

/* Read-only, for good. */
bool os_protect_read(void *p, size_t bytes);

/*
 * Nobody may unmap, remap or reprotect it any more, we neither (mseal, Linux
 * 6.10). Only if no filter of system calls is in force, which might kill the
 * process for a call that it does not know. Start only. False: not sealed.
 */
bool os_seal(void *p, size_t bytes);

/* Are we not emulated? See os_linux.c. The contents of a page at p may go. */
bool os_kernel_is_real(void *p);

/*
 * Move the pages of `from` to the committed range `to`. Returns how many bytes
 * were moved; where they were stays mapped and reads as zeros. The rest is as
 * it was. SIZE_MAX: nothing was moved, and `to` is lost.
 */
size_t os_move(void *from, void *to, size_t bytes);

/* Huge pages here, if the kernel likes: all of it will be used. */
void os_huge_pages(void *p, size_t bytes);

/* No huge pages here: sparse memory would be blown up. */
void os_no_huge_pages(void *p, size_t bytes);

/* Dump it after all: what is in use must be in a core. True, for it is no
   matter if the kernel refuses. */
bool os_dump(void *p, size_t bytes);

/* The child of a fork reads zeros here. False: it reads a copy. */
bool os_wipe_on_fork(void *p, size_t bytes);

/* Milliseconds of a clock that never goes back. No system call (vDSO). */
uint64_t os_clock_ms(void);

/* The same clock, fine. */
uint64_t os_clock_ns(void);

/* Does getrandom answer? A sandbox may refuse it. */
bool os_has_random(void);

/* A limit as prlimit(2) takes it on every architecture. */
struct os_limit {
    uint64_t soft, hard;
};
#define OS_LIMIT_NONE (~UINT64_C(0))

/* RLIMIT_AS, or SIZE_MAX. Start only. */
size_t os_address_space_limit(void);

/* prlimit(2), for the functions of that name: 0 or the error's number. */
int os_limit(int process, int resource, const struct os_limit *set,
             struct os_limit *was);

/* A variable of the environment, or NULL; never under AT_SECURE. */
const char *os_environment(const char *name);

/* mlockall(2), for the function of that name: 0 or the error's number. */
int os_lock_all(int flags);

/* How much memory the machine has, for that function. */
size_t os_memory_bytes(void);
/* AT_SECURE: the program has rights that whoever started it has not. Nothing
   that he could choose may be believed. */
bool os_is_privileged(void);

/* The last part of the path the program was started by; for a script it is
   the script's. */
const char *os_program_name(void);

/* Open a file for reading; -1: refused. Never waits. Start only. */
int os_file_open(const char *path);

/* Bytes read: 0 at the end, and on every error. Start only. */
size_t os_file_read(int file, void *to, size_t room);
void os_file_close(int file);

/* A new file of `bytes`, instead of any that has the name, filled with the
   byte `fill` and mapped: forked children share it, and writing to it is no
   system call. NULL: refused. Start only. */
void *os_file_map(const char *path, size_t bytes, unsigned char fill);

/* Write what can be written; short and failed writes are ignored. */
void os_write(int descriptor, const void *bytes, size_t count);

/* Identity of an open file, to see later whether it is still the same. */
struct os_file {
    uint64_t device, inode;
};
bool os_file_identity(int descriptor, struct os_file *file);

/* True when the process has one thread for certain. No system call. */
bool os_is_alone(void);

unsigned os_process_id(void);

/* Of the calling thread, by a futex call where that can be had: a sandbox may
   have forgotten gettid. */
unsigned os_thread_id(void);

/* Can four bytes be read here? p is a multiple of four; nothing is read. */
bool os_can_read(const void *p);

/* An address just above the first thread's frames, or 0. */
uintptr_t os_first_stack_end(void);

/* Module and offset of a code address, without taking the loader's lock. */
bool os_module_of(const void *address, const char **name, uintptr_t *offset);

/*
 * The function of this name: in a module before this one in the order of the
 * loader, after this one, or in any other. Valid while the process starts. No
 * lock, no allocation.
 */
enum os_symbol_place { OS_SYMBOL_BEFORE, OS_SYMBOL_AFTER, OS_SYMBOL_OTHER };
void *os_symbol(const char *name, enum os_symbol_place place);

/* Does the program itself need names that begin so from other modules? */
bool os_program_needs(const char *prefix);

/* What an instruction did, where the machine tells. */
enum os_access { OS_ACCESS_UNKNOWN, OS_ACCESS_READ, OS_ACCESS_WRITE };

/* A fault: what was touched, by the instruction at `site`. */
struct os_fault {
    uintptr_t address;
    const void *site;
    const void *frame; /* the frame pointer, if there is one */
    enum os_access access;
};

/* In a signal handler. True: all is well now, go on; false: not ours. */
typedef bool os_fault_handler(const struct os_fault *fault);

/* Handle SIGSEGV and SIGBUS; what the handler declines goes to what was there
   before. Start only. */
bool os_catch_faults(os_fault_handler *handler);

/* Append to a file, made if need be; not what a sandbox allows. */
void os_append(const char *path, const void *bytes, size_t count);

/* End the process now, with this status; nothing of the program runs. */
NORETURN void os_exit(int status);

/* A trap for the debugger; without one it ends the process. */
void os_trap(void);

/* End the process by SIGABRT, whatever the program did to that signal. */
NORETURN void os_abort(void);

#endif
