/* SPDX-License-Identifier: MIT */
/*
 * elf-fields.h - fields of ELF's structures, which are the same at other
 * places for 32 and for 64 bits.
 */
#ifndef MERLON_ELF_FIELDS_H
#define MERLON_ELF_FIELDS_H

#include <elf.h>
#include <stddef.h>
#include <stdint.h>

#define ELF_PLACE(wide, type, field)                                         \
    ((wide) ? offsetof(Elf64_##type, field) : offsetof(Elf32_##type, field))
#define ELF_BYTES(wide, type, field)                                         \
    ((wide) ? sizeof((Elf64_##type *)0)->field                               \
            : sizeof((Elf32_##type *)0)->field)
#define ELF_SIZE(wide, type)                                                 \
    ((wide) ? sizeof(Elf64_##type) : sizeof(Elf32_##type))
#define ELF_GET(wide, at, type, field)                                       \
    number_at((const uint8_t *)(at) + ELF_PLACE(wide, type, field),          \
              ELF_BYTES(wide, type, field))

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define ELF_OUR_ORDER ELFDATA2LSB
#else
#define ELF_OUR_ORDER ELFDATA2MSB
#endif

#endif
