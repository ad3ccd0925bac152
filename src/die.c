/* SPDX-License-Identifier: MIT */
/*
 * die.c - one line that helps, then abort.
 *
 * The line is built in merlon_last_report, without libc, and written with one
 * write(2). Nothing here may allocate, lock or fail. It works with a full heap
 * of corrupted user memory, where no user byte is read, and with little stack.
 */
#include "die.h"

#include "os.h"
#include "text.h"

char merlon_last_report[DIE_REPORT_BYTES]
    __attribute__((visibility("default")));

const char *const die_kind_text[DIE_KIND_COUNT] = {
    [DIE_DOUBLE_FREE] = "double free",
    [DIE_INVALID_POINTER] = "invalid pointer",
    [DIE_WRITE_AFTER_FREE] = "write after free",
    [DIE_OVERFLOW] = "buffer overflow",
    [DIE_LINK] = "corrupted link",
    [DIE_SIZE_MISMATCH] = "size mismatch",
    [DIE_METADATA] = "corrupted metadata",
    [DIE_USE_AFTER_FREE] = "use after free",
    [DIE_OUT_OF_MEMORY] = "out of memory",
};

unsigned long die_counts[DIE_KIND_COUNT];
static EARLY bool keep_going;
static EARLY bool output_chosen;
static int output = 2;
static EARLY bool output_known;
static EARLY struct os_file output_file;

/* Where the address lies, seen from the object. */
static void put_place(struct text *line, const struct die_history *history)
{
    uintptr_t end = history->object + history->bytes;

    text_put(line, ", ");
    if (history->place < history->object) {
        text_decimal(line, history->object - history->place);
        text_put(line, " bytes before");
    } else if (history->place < end || history->place == history->object) {
        text_decimal(line, history->place - history->object);
        text_put(line, " bytes into");
    } else {
        text_decimal(line, history->place - end);
        text_put(line, " bytes behind");
    }
    text_put(line, history->release ? " a freed object of "
             : " a live object of ");
    text_decimal(line, history->bytes);
    text_put(line, " bytes at ");
    text_hex(line, history->object);
}

static void put_stack(struct text *line, const char *what, unsigned thread,
                      const struct stack *stack)
{
    text_put(line, "merlon: ");
    text_put(line, what);
    text_put(line, " by tid ");
    text_decimal(line, thread);
    text_put(line, " from");
    stack_print(line, stack);
    text_end_line(line);
}

static void put_history(struct text *line, const struct die_facts *facts)
{
    const struct die_history *history = facts->history;
    struct stack here;

    if (history->access) {
        put_stack(line, "accessed", os_thread_id(), history->access);
    } else {
        stack_capture(&here, facts->call.frame, facts->call.site);
        put_stack(line, "noticed", os_thread_id(), &here);
    }
    put_stack(line, "allocated", history->allocated_by, history->allocation);
    if (history->release)
        put_stack(line, "freed", history->freed_by, history->release);
}

static void put_sender(struct text *line, uint32_t sender)
{
    uint32_t thread = sender & ~DIE_SENDER_SEVERAL;

    if (sender == 0)
        return;
    text_put(line, ", sender ");
    if (thread == DIE_SENDER_UNKNOWN) {
        text_put(line, "unknown");
        return;
    }
    text_put(line, "tid ");
    text_decimal(line, thread);
    if (sender & DIE_SENDER_SEVERAL)
        text_put(line, " or another");
}

static void format(struct text *line, enum die_kind kind,
                   const struct die_facts *facts)
{
    text_put(line, "merlon: ");
    text_put(line, die_kind_text[kind]);
    if (facts->call.function) {
        text_put(line, " in ");
        text_put(line, facts->call.function);
        text_put(line, "()");
    }
    if (facts->detail) {
        text_put(line, " (");
        text_put(line, facts->detail);
        text_put(line, ")");
    }
    text_put(line, ": pointer ");
    text_hex(line, (uintptr_t)facts->pointer);
    if (facts->history)
        put_place(line, facts->history);
    if (facts->slot_bytes) {
        text_put(line, ", class ");
        text_decimal(line, facts->slot_bytes);
    }
    if (facts->slab) {
        text_put(line, ", slab ");
        text_hex(line, facts->slab);
    }
    put_sender(line, facts->sender);
    text_put(line, ", pid ");
    text_decimal(line, os_process_id());
    text_put(line, ", tid ");
    text_decimal(line, os_thread_id());
    if (facts->call.site) {
        text_put(line, ", caller ");
        text_code(line, facts->call.site);
    }
    text_end_line(line);
    if (facts->history)
        put_history(line, facts);
}

/* Descriptor 2 may be a client's socket by now: write only if it is what it
   was. A sandbox may refuse the check; then only a chosen output is used. */
static bool output_is_safe(void)
{
    struct os_file now;

    if (output_chosen)
        return true;
    return output_known && os_file_identity(output, &now)
        && now.device == output_file.device && now.inode == output_file.inode;
}

void die_write(const char *text, size_t bytes)
{
    if (output_is_safe())
        os_write(output, text, bytes);
}

static void tell(enum die_kind kind, const struct die_facts *facts,
                 char *at, size_t bytes)
{
    struct text line = text_in(at, bytes);

    format(&line, kind, facts);
    die_write(line.at, line.length);
}

/* The exported buffer is in use: by another thread, or by what a signal has
   interrupted. */
static NOINLINE void tell_aside(enum die_kind kind,
                                const struct die_facts *facts)
{
    char line[512];

    tell(kind, facts, line, sizeof line);
}

/*
 * One function for each kind, none inlined, each with a body of its own, and
 * exported: so the frame above os_abort names the kind, in a library without
 * debugging information as well. The asm statements keep bodies apart and
 * calls from becoming jumps. Protected: nobody can replace them.
 */
#define END(name)                                                            \
    NORETURN NOINLINE __attribute__((visibility("protected"))) void name(    \
        void);                                                               \
    void name(void)                                                          \
    {                                                                        \
        __asm__ volatile("" ::"r"(#name) : "memory");                        \
        os_abort();                                                          \
        __asm__ volatile("" ::"r"(#name) : "memory");                        \
    }
END(merlon_abort_double_free)
END(merlon_abort_invalid_pointer)
END(merlon_abort_write_after_free)
END(merlon_abort_buffer_overflow)
END(merlon_abort_corrupted_link)
END(merlon_abort_size_mismatch)
END(merlon_abort_corrupted_metadata)
END(merlon_abort_use_after_free)
END(merlon_abort_out_of_memory)

void die_end(enum die_kind kind)
{
    switch (kind) {
    case DIE_DOUBLE_FREE:
        merlon_abort_double_free();
    case DIE_INVALID_POINTER:
        merlon_abort_invalid_pointer();
    case DIE_WRITE_AFTER_FREE:
        merlon_abort_write_after_free();
    case DIE_OVERFLOW:
        merlon_abort_buffer_overflow();
    case DIE_LINK:
        merlon_abort_corrupted_link();
    case DIE_SIZE_MISMATCH:
        merlon_abort_size_mismatch();
    case DIE_USE_AFTER_FREE:
        merlon_abort_use_after_free();
    case DIE_OUT_OF_MEMORY:
        merlon_abort_out_of_memory();
    case DIE_METADATA:
    case DIE_KIND_COUNT:
        break;
    }
    merlon_abort_corrupted_metadata();
}

void die_note(enum die_kind kind, const struct die_facts *facts)
{
    static bool in_use;

    /* Relaxed: a statistic. */
    __atomic_fetch_add(&die_counts[kind], 1, __ATOMIC_RELAXED);
    /* Acquire and release: one writes after the other. In the child of a fork
       it may stay in use for ever. */
    if (__atomic_exchange_n(&in_use, true, __ATOMIC_ACQUIRE)) {
        tell_aside(kind, facts);
        return;
    }
    tell(kind, facts, merlon_last_report, sizeof merlon_last_report);
    __atomic_store_n(&in_use, false, __ATOMIC_RELEASE);
}

void die(enum die_kind kind, const struct die_facts *facts)
{
    die_note(kind, facts);
    if (!keep_going)
        die_end(kind);
}

void die_configure(bool go_on, int descriptor)
{
    keep_going = go_on;
    output_chosen = descriptor >= 0;
    output = output_chosen ? descriptor : 2;
}

void die_remember_output(void)
{
    output_known = os_file_identity(2, &output_file);
}

unsigned long die_count(enum die_kind kind)
{
    return __atomic_load_n(&die_counts[kind], __ATOMIC_RELAXED);
}
