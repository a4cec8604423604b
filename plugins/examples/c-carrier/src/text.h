/* Texts that grow, and the two ways of writing one into a request. */
#ifndef TEXT_H
#define TEXT_H

#include "contract.h"

/* A text on the heap; all zeros is an empty one. */
struct text {
    uint8_t *at;
    size_t length, room;
};

/* Memory on the heap, or a trap: there is nobody to tell that there is none. */
void *allocate(size_t octets);

void text_add(struct text *text, const void *octets, size_t length);
void text_add_word(struct text *text, const char *word);
void text_add_string(struct text *text, string_t string);
void text_add_number(struct text *text, uint32_t number);

/* As a value of `application/x-www-form-urlencoded`. */
void text_add_form(struct text *text, string_t value);

/* As one segment of a URL's path, which a value cannot leave. */
void text_add_path(struct text *text, string_t value);

/* The text, handed over: whoever gets the string owns it. */
string_t text_give(struct text *text);

/* A string of its own with these words. */
string_t string_of(const char *words);

/* Whether two strings are the same. */
bool string_is(string_t string, const char *words);

/* The same for what is written in either case, as headers' names are. */
bool string_is_in_any_case(string_t string, const char *lowercase);

#endif
