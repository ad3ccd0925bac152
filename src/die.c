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

struct line {
    size_t length;
    char text[sizeof merlon_last_report];
};

static void put_text(struct line *line, const char *text)
{
    while (*text && line->length < sizeof line->text - 2)
        line->text[line->length++] = *text++;
}

static void put_number(struct line *line, uintptr_t value, unsigned base)
{
    char digits[24];
    size_t count = sizeof digits;

    digits[--count] = '\0';
    do {
        digits[--count] = "0123456789abcdef"[value % base];
        value /= base;
    } while (value != 0);
    if (base == 16)
        put_text(line, "0x");
    put_text(line, digits + count);
}

static void put_caller(struct line *line, const void *site)
{
    const char *name;
    uintptr_t offset;

    put_text(line, ", caller ");
    if (os_module_of(site, &name, &offset)) {
        put_text(line, name);
        put_text(line, "+");
        put_number(line, offset, 16);
    } else {
        put_number(line, (uintptr_t)site, 16);
    }
}

static void format(struct line *line, enum die_kind kind,
                   const struct die_facts *facts)
{
    line->length = 0;
    put_text(line, "merlon: ");
    put_text(line, die_kind_text[kind]);
    if (facts->call.function) {
        put_text(line, " in ");
        put_text(line, facts->call.function);
        put_text(line, "()");
    }
    if (facts->detail) {
        put_text(line, " (");
        put_text(line, facts->detail);
        put_text(line, ")");
    }
    put_text(line, ": pointer ");
    put_number(line, (uintptr_t)facts->pointer, 16);
    if (facts->slot_bytes) {
        put_text(line, ", class ");
        put_number(line, facts->slot_bytes, 10);
    }
    if (facts->slab) {
        put_text(line, ", slab ");
        put_number(line, facts->slab, 16);
    }
    put_text(line, ", pid ");
    put_number(line, os_process_id(), 10);
    put_text(line, ", tid ");
    put_number(line, os_thread_id(), 10);
    if (facts->call.site)
        put_caller(line, facts->call.site);
    line->text[line->length++] = '\n';
    line->text[line->length] = '\0';
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

void die_write(const char *text, size_t bytes)
{
    if (output_is_safe())
        os_write(output, text, bytes);
}

static void emit(const struct line *line)
{
    for (size_t i = 0; i <= line->length; i++)
        merlon_last_report[i] = line->text[i];
    die_write(line->text, line->length);
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
    struct line line;

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
