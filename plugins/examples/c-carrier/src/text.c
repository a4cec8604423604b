#include "text.h"

#include <stdlib.h>
#include <string.h>

/* Most texts are no longer than this, and grow once. */
#define FIRST_ROOM 256

void *allocate(size_t octets) {
    void *at = malloc(octets);
    if (at == NULL) __builtin_trap();
    return at;
}

void text_add(struct text *text, const void *octets, size_t length) {
    if (length == 0) return;
    if (length > text->room - text->length) {
        size_t room = text->room * 2 < FIRST_ROOM ? FIRST_ROOM : text->room * 2;
        if (room < text->length + length) room = text->length + length;
        text->at = realloc(text->at, room);
        if (text->at == NULL) __builtin_trap();
        text->room = room;
    }
    memcpy(text->at + text->length, octets, length);
    text->length += length;
}

void text_add_word(struct text *text, const char *word) {
    text_add(text, word, strlen(word));
}

void text_add_string(struct text *text, string_t string) {
    text_add(text, string.ptr, string.len);
}

void text_add_number(struct text *text, uint32_t number) {
    char digits[10];
    size_t first = sizeof digits;
    do {
        digits[--first] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    text_add(text, digits + first, sizeof digits - first);
}

static bool is_alphanumeric(uint8_t octet) {
    return (octet >= '0' && octet <= '9') || (octet >= 'A' && octet <= 'Z') || (octet >= 'a' && octet <= 'z');
}

static void add_escaped(struct text *text, uint8_t octet) {
    static const char hex[] = "0123456789ABCDEF";
    const char escaped[] = {'%', hex[octet >> 4], hex[octet & 15]};
    text_add(text, escaped, sizeof escaped);
}

static bool is_one_of(uint8_t octet, const char *set) {
    return octet != 0 && strchr(set, octet) != NULL;
}

void text_add_form(struct text *text, string_t value) {
    for (size_t i = 0; i < value.len; i++) {
        uint8_t octet = value.ptr[i];
        if (is_alphanumeric(octet) || is_one_of(octet, "*-._")) text_add(text, &octet, 1);
        else if (octet == ' ') text_add(text, "+", 1);
        else add_escaped(text, octet);
    }
}

void text_add_path(struct text *text, string_t value) {
    for (size_t i = 0; i < value.len; i++) {
        uint8_t octet = value.ptr[i];
        if (is_alphanumeric(octet) || is_one_of(octet, "-._~")) text_add(text, &octet, 1);
        else add_escaped(text, octet);
    }
}

string_t text_give(struct text *text) {
    string_t string = {text->at, text->length};
    *text = (struct text){0};
    return string;
}

string_t string_of(const char *words) {
    struct text text = {0};
    text_add_word(&text, words);
    return text_give(&text);
}

bool string_is(string_t string, const char *words) {
    size_t length = strlen(words);
    return string.len == length && memcmp(string.ptr, words, length) == 0;
}

bool string_is_in_any_case(string_t string, const char *lowercase) {
    if (string.len != strlen(lowercase)) return false;
    for (size_t i = 0; i < string.len; i++) {
        uint8_t octet = string.ptr[i];
        if (octet >= 'A' && octet <= 'Z') octet += 'a' - 'A';
        if (octet != (uint8_t)lowercase[i]) return false;
    }
    return true;
}
