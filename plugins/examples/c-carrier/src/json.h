/*
 * As much of JSON as a carrier's answer needs: whether a body is one JSON object, whole, and two kinds of its own
 * members. It never recurses and never copies, so that no answer can make it run out of anything.
 */
#ifndef JSON_H
#define JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A member that is looked for, and where its value stands. */
struct json_member {
    const char *name;
    /* The value as it is written, strings with their quotes; NULL where the object has no such member. */
    const uint8_t *at;
    size_t length;
};

/*
 * Finds members of the object that `body` is. False when the body is anything but one whole object, or nests deeper
 * than answers do; what was found until then means nothing.
 */
bool json_read(const uint8_t *body, size_t length, struct json_member *members, size_t count);

/*
 * A string's value, which must be of visible ASCII as ids are. Gives its length, 0 when it is something else or does
 * not fit into `room`.
 */
size_t json_id(const struct json_member *member, uint8_t *id, size_t room);

/* A number's value, 0 when it is something else, negative, with a fraction, or too large. */
uint32_t json_code(const struct json_member *member);

#endif
