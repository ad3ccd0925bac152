/* SPDX-License-Identifier: MIT */
/*
 * text.c - putting a line together.
 */
#include "text.h"

#include "os.h"

static void put_byte(struct text *text, char byte)
{
    if (text->length + 1 < text->bytes) {
        text->at[text->length++] = byte;
        text->at[text->length] = '\0';
    }
}

void text_put(struct text *text, const char *string)
{
    while (*string)
        put_byte(text, *string++);
}

static void put_number(struct text *text, uintptr_t number, unsigned base)
{
    char digits[24];
    size_t count = sizeof digits;

    digits[--count] = '\0';
    do {
        digits[--count] = "0123456789abcdef"[number % base];
        number /= base;
    } while (number != 0);
    text_put(text, digits + count);
}

void text_decimal(struct text *text, uintptr_t number)
{
    put_number(text, number, 10);
}

void text_hex(struct text *text, uintptr_t number)
{
    text_put(text, "0x");
    put_number(text, number, 16);
}

void text_code(struct text *text, const void *address)
{
    const char *name;
    uintptr_t offset;

    if (os_module_of(address, &name, &offset)) {
        text_put(text, name);
        put_byte(text, '+');
        text_hex(text, offset);
    } else {
        text_hex(text, (uintptr_t)address);
    }
}

void text_end_line(struct text *text)
{
    if (text->bytes >= 2 && text->length == text->bytes - 1)
        text->length--;
    put_byte(text, '\n');
}
