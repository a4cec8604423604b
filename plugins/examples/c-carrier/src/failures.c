#include "failures.h"

#include "text.h"

/* What is known about one of the carrier's codes. */
struct known {
    uint32_t code;
    enum failure_class class;
    /* Whether the route is to blame. Such a failure must be one that comes back. */
    bool route;
    const char *text;
};

static const struct known KNOWN[] = {
    {20003, RETRYABLE, true, "wrong account or token"},
    {21211, PERMANENT, false, "the recipient's number is not valid"},
    {21610, STOPPED, false, "the recipient opted out"},
};

static void set(failure_t *failure, enum failure_class class, string_t code, string_t text) {
    *failure = (failure_t){.class_ = (uint8_t)class, .code = code, .text = text};
}

void fail(failure_t *failure, enum failure_class class, const char *code, const char *text) {
    set(failure, class, string_of(code), string_of(text));
}

/* Wrong credentials must not cost an audience its messages: the host stops the route instead. */
static void blame_route(failure_t *failure) {
    attribute_t *scope = allocate(sizeof *scope);
    *scope = (attribute_t){string_of("scope"), string_of("route")};
    failure->attributes.ptr = scope;
    failure->attributes.len = 1;
}

void fail_for_setting(failure_t *failure, const char *name) {
    struct text text = {0};
    text_add_word(&text, "the route does not set `");
    text_add_word(&text, name);
    text_add_word(&text, "`");
    set(failure, RETRYABLE, string_of("missing-setting"), text_give(&text));
    blame_route(failure);
}

/*
 * How long to stay away, from `Retry-After` in seconds. A date in it counts as none: then 429 comes back by the
 * host's own delays, and 503 may have been sent, both of which are safe.
 */
static carrier_plugin_option_u64_t retry_after_ms(const response_t *response) {
    carrier_plugin_option_u64_t none = {0};
    for (size_t i = 0; i < response->headers.len; i++) {
        const header_t *header = &response->headers.ptr[i];
        if (!string_is_in_any_case(header->name, "retry-after")) continue;
        const uint8_t *at = header->value.ptr, *end = at + header->value.len;
        while (at < end && *at == ' ') at++;
        while (at < end && end[-1] == ' ') end--;
        if (at == end || end - at > 9) return none;
        uint64_t seconds = 0;
        for (; at < end; at++) {
            if (*at < '0' || *at > '9') return none;
            seconds = seconds * 10 + (*at - '0');
        }
        return (carrier_plugin_option_u64_t){true, seconds * 1000};
    }
    return none;
}

/* What a status means that comes with no code we know. */
static enum failure_class class_of(uint16_t status, bool has_wait) {
    if (status == 429 || (status == 503 && has_wait)) return THROTTLED;
    if (status == 425) return RETRYABLE;
    /* A timeout or a conflict may follow a message that was taken. */
    if (status == 408 || status == 409) return UNCERTAIN;
    return status >= 400 && status < 500 ? PERMANENT : UNCERTAIN;
}

static string_t with_number(const char *words, uint32_t number) {
    struct text text = {0};
    text_add_word(&text, words);
    text_add_number(&text, number);
    return text_give(&text);
}

void fail_for_answer(failure_t *failure, const response_t *response, uint32_t code) {
    uint16_t status = response->status;
    carrier_plugin_option_u64_t wait = retry_after_ms(response);
    /* A code does not make a fault of the carrier safe: it may have come after sending. */
    bool is_refusal = status >= 400 && status < 500;
    for (size_t i = 0; is_refusal && i < sizeof KNOWN / sizeof KNOWN[0]; i++) {
        const struct known *known = &KNOWN[i];
        if (known->code != code) continue;
        set(failure, known->class, with_number("", code), string_of(known->text));
        if (known->route) blame_route(failure);
        return;
    }
    set(failure, class_of(status, wait.is_some), with_number("http-", status),
        with_number("the carrier answered ", status));
    failure->retry_after_ms = wait;
}
