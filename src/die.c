/* SPDX-License-Identifier: MIT */
/*
 * die.c - one line that helps, then abort.
 *
 * The line is built on the stack without libc, written with one write(2), and
 * kept in merlon_last_report. Nothing here may allocate, lock or fail. It
 * works with a full heap of corrupted user memory: no user byte is read.
 */
#include "die.h"

#include "os.h"
#include "text.h"

char merlon_last_report[512] __attribute__((visibility("default")));

const char *const die_kind_text[DIE_KIND_COUNT] = {
    [DIE_DOUBLE_FREE] = "double free",
    [DIE_INVALID_POINTER] = "invalid pointer",
    [DIE_WRITE_AFTER_FREE] = "write after free",
    [DIE_OVERFLOW] = "buffer overflow",
    [DIE_LINK] = "corrupted link",
    [DIE_SIZE_MISMATCH] = "size mismatch",
    [DIE_METADATA] = "corrupted metadata",
};

unsigned long die_counts[DIE_KIND_COUNT];
static bool keep_going;
static bool output_chosen;
static int output = 2;
static bool output_known;
static struct os_file output_file;

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
    if (facts->slot_bytes) {
        text_put(line, ", class ");
        text_decimal(line, facts->slot_bytes);
    }
    if (facts->slab) {
        text_put(line, ", slab ");
        text_hex(line, facts->slab);
    }
    text_put(line, ", pid ");
    text_decimal(line, os_process_id());
    text_put(line, ", tid ");
    text_decimal(line, os_thread_id());
    if (facts->call.site) {
        text_put(line, ", caller ");
        text_code(line, facts->call.site);
    }
    text_end_line(line);
}

/* Descriptor 2 may be a client's socket by now: write only if it is what it
   was. A sandbox may refuse the check; then only a chosen output is used. */
static bool output_is_safe(void)
{
    struct os_file now;

    if (output_chosen)
        return output >= 0;
    if (!output_known)
        return true;
    return os_file_identity(output, &now)
        && now.device == output_file.device && now.inode == output_file.inode;
}

static void emit(const struct text *line)
{
    for (size_t i = 0; i <= line->length; i++)
        merlon_last_report[i] = line->at[i];
    if (output_is_safe())
        os_write(output, line->at, line->length);
}

/*
 * One function for each kind, none inlined, each with a body of its own, so
 * that the top frame of a core names the kind.
 */
#define END(name)                                                            \
    static NORETURN NOINLINE void name(void)                                 \
    {                                                                        \
        __asm__ volatile("" ::"r"(#name));                                   \
        os_abort();                                                          \
    }
END(merlon_abort_double_free)
END(merlon_abort_invalid_pointer)
END(merlon_abort_write_after_free)
END(merlon_abort_buffer_overflow)
END(merlon_abort_corrupted_link)
END(merlon_abort_size_mismatch)
END(merlon_abort_corrupted_metadata)

static NORETURN void end(enum die_kind kind)
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
    case DIE_METADATA:
    case DIE_KIND_COUNT:
        break;
    }
    merlon_abort_corrupted_metadata();
}

void die_note(enum die_kind kind, const struct die_facts *facts)
{
    char memory[sizeof merlon_last_report];
    struct text line = text_in(memory, sizeof memory);

    /* Relaxed: a statistic. */
    __atomic_fetch_add(&die_counts[kind], 1, __ATOMIC_RELAXED);
    format(&line, kind, facts);
    emit(&line);
}

void die(enum die_kind kind, const struct die_facts *facts)
{
    die_note(kind, facts);
    if (!keep_going)
        end(kind);
}

void die_configure(bool go_on, int descriptor)
{
    keep_going = go_on;
    if (descriptor != 2) {
        output = descriptor;
        output_chosen = true;
    }
}

void die_remember_output(void)
{
    output_known = os_file_identity(2, &output_file);
}

unsigned long die_count(enum die_kind kind)
{
    return __atomic_load_n(&die_counts[kind], __ATOMIC_RELAXED);
}
