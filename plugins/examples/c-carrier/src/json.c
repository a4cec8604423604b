#include "json.h"

#include <string.h>

/* Containers that may stand in each other; one bit each. */
#define MAX_DEPTH 64

struct reader {
    const uint8_t *next, *end;
};

static void skip_space(struct reader *reader) {
    while (reader->next < reader->end &&
           (*reader->next == ' ' || *reader->next == '\n' || *reader->next == '\r' || *reader->next == '\t')) {
        reader->next++;
    }
}

/* The next octet that is no space, without taking it; 0 at the end. */
static uint8_t peek(struct reader *reader) {
    skip_space(reader);
    return reader->next < reader->end ? *reader->next : 0;
}

static bool take(struct reader *reader, uint8_t octet) {
    if (reader->next == reader->end || *reader->next != octet) return false;
    reader->next++;
    return true;
}

static bool is_digit(uint8_t octet) {
    return octet >= '0' && octet <= '9';
}

/* What a hexadecimal digit counts, or 16. */
static uint32_t hex_digit(uint8_t octet) {
    if (is_digit(octet)) return octet - '0';
    if (octet >= 'a' && octet <= 'f') return octet - 'a' + 10;
    if (octet >= 'A' && octet <= 'F') return octet - 'A' + 10;
    return 16;
}

/* Four hexadecimal digits. */
static bool take_unit(struct reader *reader, uint32_t *unit) {
    if (reader->end - reader->next < 4) return false;
    *unit = 0;
    for (int i = 0; i < 4; i++) {
        uint32_t digit = hex_digit(*reader->next++);
        if (digit > 15) return false;
        *unit = *unit << 4 | digit;
    }
    return true;
}

/* One character of a string, of which only ASCII is told apart; everything else is 0x80. */
static bool take_character(struct reader *reader, uint32_t *character) {
    if (reader->next == reader->end || *reader->next < ' ') return false;
    *character = *reader->next++;
    if (*character >= 0x80) *character = 0x80;
    if (*character != '\\') return true;
    if (reader->next == reader->end) return false;
    uint8_t escape = *reader->next++;
    static const char written[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
    const char *at = escape == 0 ? NULL : strchr(written, escape);
    if (at != NULL) {
        *character = (uint8_t)meant[at - written];
        return true;
    }
    if (escape != 'u' || !take_unit(reader, character)) return false;
    if (*character > 0x80) *character = 0x80;
    return true;
}

static bool take_string(struct reader *reader) {
    uint32_t character;
    if (!take(reader, '"')) return false;
    while (!take(reader, '"')) {
        if (!take_character(reader, &character)) return false;
    }
    return true;
}

static bool take_digits(struct reader *reader) {
    const uint8_t *begin = reader->next;
    while (reader->next < reader->end && is_digit(*reader->next)) reader->next++;
    return reader->next > begin;
}

static bool take_number(struct reader *reader) {
    take(reader, '-');
    if (!take(reader, '0') && !take_digits(reader)) return false;
    if (take(reader, '.') && !take_digits(reader)) return false;
    if (take(reader, 'e') || take(reader, 'E')) {
        if (!take(reader, '+')) take(reader, '-');
        return take_digits(reader);
    }
    return true;
}

static bool take_word(struct reader *reader, const char *word) {
    size_t length = strlen(word);
    if ((size_t)(reader->end - reader->next) < length || memcmp(reader->next, word, length) != 0) return false;
    reader->next += length;
    return true;
}

/* A value that holds no others. */
static bool take_scalar(struct reader *reader) {
    switch (peek(reader)) {
    case '"':
        return take_string(reader);
    case 't':
        return take_word(reader, "true");
    case 'f':
        return take_word(reader, "false");
    case 'n':
        return take_word(reader, "null");
    default:
        return take_number(reader);
    }
}

/* A member's name and its colon. */
static bool take_name(struct reader *reader, struct json_member *name) {
    skip_space(reader);
    name->at = reader->next;
    if (!take_string(reader)) return false;
    name->length = (size_t)(reader->next - name->at);
    skip_space(reader);
    return take(reader, ':');
}

/* The member that a name in quotes asks for. A name with escapes is none of ours. */
static struct json_member *wanted(const struct json_member *name, struct json_member *members, size_t count) {
    for (size_t i = 0; i < count; i++) {
        size_t length = strlen(members[i].name);
        if (name->length == length + 2 && memcmp(name->at + 1, members[i].name, length) == 0) return &members[i];
    }
    return NULL;
}

/* What is read of one object and everything in it. */
struct walk {
    struct reader reader;
    /* Which of the open containers are objects, the innermost in the lowest bit. */
    uint64_t objects;
    unsigned depth;
    /* The object's own member whose value is being read, if it is one that is looked for. */
    struct json_member *member;
};

/* Behind a value: closes what ends there. False when something else stands there than may. */
static bool after_value(struct walk *walk) {
    for (;;) {
        if (walk->depth == 1 && walk->member != NULL) {
            walk->member->length = (size_t)(walk->reader.next - walk->member->at);
            walk->member = NULL;
        }
        if (walk->depth == 0) return true;
        uint8_t octet = peek(&walk->reader);
        if (octet == ',') return take(&walk->reader, ',');
        if (octet != (walk->objects & 1 ? '}' : ']')) return false;
        walk->reader.next++;
        walk->objects >>= 1;
        walk->depth--;
    }
}

bool json_read(const uint8_t *body, size_t length, struct json_member *members, size_t count) {
    struct walk walk = {.reader = {body, body + length}};
    for (size_t i = 0; i < count; i++) members[i].at = NULL;
    if (peek(&walk.reader) != '{') return false;
    do {
        if (walk.depth > 0 && walk.objects & 1) {
            struct json_member name;
            if (!take_name(&walk.reader, &name)) return false;
            if (walk.depth == 1) walk.member = wanted(&name, members, count);
        }
        uint8_t octet = peek(&walk.reader);
        if (walk.depth == 1 && walk.member != NULL) walk.member->at = walk.reader.next;
        if (octet != '{' && octet != '[') {
            if (!take_scalar(&walk.reader) || !after_value(&walk)) return false;
            continue;
        }
        if (walk.depth == MAX_DEPTH) return false;
        walk.reader.next++;
        walk.objects = walk.objects << 1 | (octet == '{');
        walk.depth++;
        uint8_t closing = octet == '{' ? '}' : ']';
        if (peek(&walk.reader) == closing) {
            walk.reader.next++;
            walk.objects >>= 1;
            walk.depth--;
            if (!after_value(&walk)) return false;
        }
    } while (walk.depth > 0);
    skip_space(&walk.reader);
    return walk.reader.next == walk.reader.end;
}

size_t json_id(const struct json_member *member, uint8_t *id, size_t room) {
    if (member->at == NULL || member->at[0] != '"') return 0;
    struct reader reader = {member->at + 1, member->at + member->length - 1};
    size_t length = 0;
    uint32_t character;
    while (reader.next < reader.end) {
        if (!take_character(&reader, &character)) return 0;
        if (character <= ' ' || character > '~' || length == room) return 0;
        id[length++] = (uint8_t)character;
    }
    return length;
}

uint32_t json_code(const struct json_member *member) {
    if (member->at == NULL || member->length > 9) return 0;
    uint32_t code = 0;
    for (size_t i = 0; i < member->length; i++) {
        if (!is_digit(member->at[i])) return 0;
        code = code * 10 + (member->at[i] - '0');
    }
    return code;
}
