/* SPDX-License-Identifier: MIT */
/*
 * publish.h - what merlon-stat needs to read a process from outside.
 *
 * The library exports one constant, merlon_process: where its tables are, how
 * large their elements are, and where in these the fields are. Reading costs
 * the process nothing, and the tool knows no struct of the library but this
 * one; it may be older or newer, or built for other pointers.
 *
 * New entries go to the end of each list. Whoever reads checks the counts, and
 * takes what is missing as zero: a field of no bytes is not there. Another
 * meaning: another PUBLISH_LAYOUT.
 *
 * This header stands alone: the tool includes it too.
 */
#ifndef MERLON_PUBLISH_H
#define MERLON_PUBLISH_H

#include <stdint.h>

enum { PUBLISH_LAYOUT = 2, PUBLISH_MAGIC_BYTES = 16 };

#define PUBLISH_MAGIC "merlon-process\n"
#define PUBLISH_SYMBOL "merlon_process"

enum publish_number {
    NUMBER_GRANULE_SHIFT,
    NUMBER_CLASS_COUNT,
    NUMBER_ARENA_BYTES,     /* of one element of a table */
    NUMBER_WORD_BYTES,      /* struct granule_word: 64 granules */
    NUMBER_RECORD_BYTES,
    NUMBER_HEAP_BYTES,
    NUMBER_HEAP_ALIGNMENT,
    NUMBER_STOCK_BYTES,
    NUMBER_BIN_BYTES,
    NUMBER_STOCKED,         /* 1: heaps have stocks, 0: see BIN_CURRENT */
    NUMBER_KIND_SLAB,       /* value of a record's kind */
    NUMBER_DETECTION_COUNT,
    NUMBER_SWITCH_COUNT,
    NUMBER_OPTION_COUNT,
    NUMBER_UNIT_SHIFT,      /* of the state bits */
    NUMBER_EXACT,           /* 1: a bit is set where a live object starts */
    NUMBER_GUARDED,         /* 1: a guard page ends each slab */
    NUMBER_CANARY_BYTES,    /* at the end of a slot */
    NUMBER_STOCK_SLOTS,     /* room in a stock's array */
    NUMBER_KIND_SPAN,
    NUMBER_KIND_SPAN_FREE,
    NUMBER_SAMPLE_COUNT,    /* elements of the table of samples */
    NUMBER_SAMPLE_BYTES,    /* of one */
    NUMBER_SAMPLE_LIVE,     /* the low byte of a sample's state: it is live, */
    NUMBER_SAMPLE_FREED,    /* or was, and nothing has taken its place */
    PUBLISH_NUMBER_COUNT
};

enum publish_field {
    FIELD_ARENA_RECORDS,
    FIELD_ARENA_HEAPS,      /* the first heap: a page on, then aligned up */
    FIELD_SLABS_WORDS,      /* of an arena */
    FIELD_SLABS_WINDOW,
    FIELD_SLABS_TAKEN,
    FIELD_SPANS_WORDS,
    FIELD_SPANS_WINDOW,
    FIELD_SPANS_TAKEN,
    FIELD_WORD_USED,
    FIELD_WORD_DIRTY,
    FIELD_RECORD_SLAB,
    FIELD_RECORD_BASE,
    FIELD_RECORD_SLOT_BYTES,
    FIELD_RECORD_KIND,
    FIELD_RECORD_TENANT,    /* size class + 1 */
    FIELD_RECORD_SLOTS,
    FIELD_RECORD_UNTIL,     /* used slots = until + rest */
    FIELD_RECORD_REST,
    FIELD_HEAP_TAKEN,
    FIELD_HEAP_GENERATION,  /* 0: no thread has it */
    FIELD_HEAP_STOCK,       /* of class 0; the array follows */
    FIELD_HEAP_NOTHING,     /* of no bytes: it was a list of each class */
    FIELD_HEAP_BIN,
    FIELD_STOCK_COUNT,
    FIELD_BIN_CURRENT,      /* without stocks: used are all up to `fresh` that
                               its list has not */
    FIELD_ARENA_BASE,       /* slabs, then spans */
    FIELD_ARENA_SLAB_BYTES,
    FIELD_ARENA_SPAN_BYTES,
    FIELD_ARENA_STATE,      /* of the slabs: one bit for each unit */
    FIELD_ARENA_PENDING,    /* freed by another thread, under way */
    FIELD_ARENA_HEAPS_BYTES,
    FIELD_RECORD_FRESH,     /* slots from this one on were never used */
    FIELD_RECORD_LIST,      /* free slots as a list, where no stocks are */
    FIELD_SPAN_BYTES,       /* of a span's record: usable */
    FIELD_SPAN_GRANULES,    /* of its range */
    FIELD_SPAN_GUARDED,     /* bytes behind it */
    FIELD_SPAN_INDEX,       /* granule at which its range begins */
    FIELD_STOCK_SLAB,
    FIELD_STOCK_SLOT,       /* of the first; 32-bit offsets in the slab, */
    FIELD_ARENA_SAMPLES,    /* arena 0: address of the table of samples */
    FIELD_SAMPLE_STATE,
    FIELD_SAMPLE_OBJECT,    /* first byte */
    FIELD_SAMPLE_SIZE,
    FIELD_SAMPLE_ALLOCATED_BY, /* thread numbers */
    FIELD_SAMPLE_FREED_BY,
    FIELD_SAMPLE_ALLOCATION, /* a stack: 32 bits of count; return addresses */
    FIELD_SAMPLE_RELEASE,   /* follow, aligned as an address, innermost first */
    FIELD_STOCK_PAD,        /* the stock's offsets are XORed with this */
    FIELD_ARENA_BATCH,      /* bits of free slots that come next */
    PUBLISH_FIELD_COUNT
};

enum publish_address {
    ADDRESS_SELF,           /* of the constant: tells it from a copy */
    ADDRESS_VERSION,        /* text */
    ADDRESS_VARIANT,        /* text */
    ADDRESS_ARENAS,
    ADDRESS_ARENAS_OPEN,    /* 32 bits */
    ADDRESS_HEAPS_OPENED,   /* 32 bits */
    ADDRESS_SPAN_BYTES,     /* as wide as an address, and so on */
    ADDRESS_SPANS_BORN,
    ADDRESS_SPANS_FREED,
    ADDRESS_MISMATCHES,
    ADDRESS_DETECTIONS,     /* array of counts */
    ADDRESS_DETECTION_TEXT, /* array of addresses of texts */
    ADDRESS_SWITCHES,       /* array of publish_switch */
    ADDRESS_LAST_REPORT,    /* text */
    ADDRESS_OPTIONS,        /* array of publish_option */
    ADDRESS_OPTION_VALUES,  /* address of the struct that they are in */
    ADDRESS_ACTION_TEXT,    /* array of addresses of texts */
    ADDRESS_QUARANTINE_BYTES, /* address space of freed spans that wait */
    ADDRESS_QUARANTINE_COUNT,
    ADDRESS_GUARD_MAPPINGS, /* 32 bits: what guards cost, 0 where cheap */
    ADDRESS_SAMPLE_BYTES,   /* live ones; as wide as an address, and so on */
    ADDRESS_SAMPLES_BORN,
    ADDRESS_SAMPLES_FREED,
    PUBLISH_ADDRESS_COUNT
};

struct publish_field_place {
    uint32_t offset, bytes;
};

struct publish_switch {
    const char *name;
    uintptr_t on;
};

/* How an option's value is to be read. */
enum publish_kind {
    KIND_ACTION, KIND_ACTION_TOO, /* a number that ADDRESS_ACTION_TEXT names */
    KIND_NUMBER, KIND_NUMBER_TOO,
    KIND_TEXT,
};

struct publish_option {
    const char *name;
    uintptr_t kind;
    uintptr_t offset, bytes; /* in the struct of the values */
};

struct publish {
    char magic[PUBLISH_MAGIC_BYTES];
    uint32_t layout;
    uint32_t address_bytes;
    uint32_t number_count;
    uint32_t field_count;
    uint32_t address_count;
    uint32_t address_offset; /* of address[] in this struct */
    uint32_t number[PUBLISH_NUMBER_COUNT];
    struct publish_field_place field[PUBLISH_FIELD_COUNT];
    const volatile void *address[PUBLISH_ADDRESS_COUNT];
};

extern const struct publish merlon_process;

#endif
