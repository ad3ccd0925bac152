/* SPDX-License-Identifier: MIT */
/*
 * os_symbols.c - who defines a name, by the loader's list of modules.
 *
 * dlsym may allocate and takes the loader's lock, and the question comes in
 * the first malloc of a process. So the list is walked without the lock, as it
 * is while the program and what it needs are being loaded by one thread, and
 * the hash tables of modules are read here. The list has the order in which
 * names are looked up: the program, what is preloaded, what they need.
 */
#include "policy.h" /* first: it asks libc for all its declarations */

#include "os.h"

#include <elf.h>
#include <link.h>
#include <string.h>

#include "os_modules.h"

/* The module that this code is in; not there in a program without any. */
extern ElfW(Dyn) own_dynamic[] __asm__("_DYNAMIC")
    __attribute__((weak, visibility("hidden")));

/* What the dynamic section of a module names. */
struct tables {
    const ElfW(Sym) *symbols;
    const char *strings;
    const uint32_t *gnu_hash;
    const uint32_t *hash;
};

/* Some loaders write addresses into the section, others leave offsets. */
static const void *address_of(const struct link_map *module, ElfW(Addr) value)
{
    return (const void *)(value < module->l_addr ? module->l_addr + value
                          : value);
}

static bool read_tables(const struct link_map *module, struct tables *tables)
{
    *tables = (struct tables){ 0 };
    if (!module->l_ld)
        return false;
    for (const ElfW(Dyn) *entry = module->l_ld; entry->d_tag != DT_NULL;
         entry++) {
        const void *at = address_of(module, entry->d_un.d_ptr);
        if (entry->d_tag == DT_SYMTAB)
            tables->symbols = at;
        else if (entry->d_tag == DT_STRTAB)
            tables->strings = at;
        else if (entry->d_tag == DT_GNU_HASH)
            tables->gnu_hash = at;
        else if (entry->d_tag == DT_HASH)
            tables->hash = at;
    }
    return tables->symbols && tables->strings;
}

static bool defines(const struct tables *tables, uint32_t index,
                    const char *name)
{
    const ElfW(Sym) *symbol = &tables->symbols[index];

    return symbol->st_shndx != SHN_UNDEF && symbol->st_value != 0
        && (symbol->st_info & 15) == STT_FUNC
        && strcmp(tables->strings + symbol->st_name, name) == 0;
}

/* Index of the definition, or 0. The layout: four words, the bloom filter,
   the buckets, and a chain of hashes whose ends have their lowest bit set. */
static uint32_t find_gnu(const struct tables *tables, const char *name)
{
    const uint32_t *table = tables->gnu_hash;
    uint32_t bucket_count = table[0], first = table[1];
    const uint32_t *buckets = table + 4 + table[2] * (sizeof(ElfW(Addr)) / 4);
    const uint32_t *chain = buckets + bucket_count;
    uint32_t hash = 5381;

    for (const char *c = name; *c; c++)
        hash = hash * 33 + (unsigned char)*c;
    uint32_t index = bucket_count ? buckets[hash % bucket_count] : 0;
    if (index < first)
        return 0;
    for (;; index++) {
        if (((chain[index - first] ^ hash) | 1) == 1
            && defines(tables, index, name))
            return index;
        if (chain[index - first] & 1)
            return 0;
    }
}

static uint32_t find_sysv(const struct tables *tables, const char *name)
{
    uint32_t hash = 0;
    const uint32_t *buckets = tables->hash + 2;
    const uint32_t *chain = buckets + tables->hash[0];

    for (const char *c = name; *c; c++) {
        hash = (hash << 4) + (unsigned char)*c;
        hash = (hash ^ (hash >> 24 & 0xf0)) & 0x0fffffff;
    }
    for (uint32_t index = buckets[hash % tables->hash[0]]; index != 0;
         index = chain[index]) {
        if (defines(tables, index, name))
            return index;
    }
    return 0;
}

static void *find_in(const struct link_map *module, const char *name)
{
    struct tables tables;
    uint32_t index = 0;

    if (!read_tables(module, &tables))
        return NULL;
    if (tables.gnu_hash)
        index = find_gnu(&tables, name);
    else if (tables.hash)
        index = find_sysv(&tables, name);
    return index ? (char *)module->l_addr + tables.symbols[index].st_value
        : NULL;
}

static bool is_own(const struct link_map *module)
{
    return module->l_ld == own_dynamic;
}

void *os_symbol(const char *name, enum os_symbol_place place)
{
    bool after = false;

    for (const struct link_map *module = os_modules(); module;
         module = module->l_next) {
        if (is_own(module)) {
            if (place == OS_SYMBOL_BEFORE)
                return NULL;
            after = true;
        } else if (after || place != OS_SYMBOL_AFTER) {
            void *found = find_in(module, name);
            if (found)
                return found;
        }
    }
    return NULL;
}

bool os_program_needs(const char *prefix)
{
    const struct link_map *program = os_modules();
    struct tables tables;

    /* What is not defined stands before all that is hashed. */
    if (!program || !read_tables(program, &tables) || !tables.gnu_hash)
        return false;
    for (uint32_t i = 1; i < tables.gnu_hash[1]; i++) {
        if (strncmp(tables.strings + tables.symbols[i].st_name, prefix,
                    strlen(prefix)) == 0)
            return true;
    }
    return false;
}
