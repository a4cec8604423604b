/*
 * The carrier `c-carrier`: the API that a new carrier of `dripline plugin new` speaks, in C.
 *
 * One message is one POST of a form to {api_base}/2010-04-01/Accounts/{account}/Messages.json. The answer is a 2xx
 * with the message's id, `sid`, or an error with a `code`. There is no key against duplicates and no way to ask
 * about a message, so that the duplicate class is `lost`.
 */
#include "contract.h"
#include "failures.h"
#include "json.h"
#include "text.h"

/* The manifest's names, which a route uses. */
#define ACCOUNT "account"
#define API_BASE "api_base"
#define TOKEN "token"

/* No carrier's ids are longer. */
#define MAX_ID 256

static setting_schema_t setting(const char *name, const char *text, bool secret) {
    return (setting_schema_t){
        .name = string_of(name), .text = string_of(text), .required = true, .secret = secret};
}

void exports_dripline_plugin_carrier_describe(manifest_t *manifest) {
    setting_schema_t *settings = allocate(3 * sizeof *settings);
    settings[0] = setting(ACCOUNT, "The account's id.", false);
    settings[1] = setting(API_BASE, "The origin of the carrier's API.", false);
    settings[2] = setting(TOKEN, "The account's token.", true);
    string_t *origin = allocate(sizeof *origin);
    *origin = string_of("{" API_BASE "}");
    *manifest = (manifest_t){
        .name = string_of("c-carrier"),
        .version = string_of("0.1.0"),
        .settings = {settings, 3},
        .origins = {origin, 1},
        .duplicates = DRIPLINE_PLUGIN_CARRIER_TYPES_DUPLICATE_CLASS_LOST,
        .segments =
            {
                .gsm7_single = 160,
                .gsm7_multi = 153,
                .ucs2_single = 70,
                .ucs2_multi = 67,
                .atom = DRIPLINE_PLUGIN_CARRIER_TYPES_ATOM_CODE_POINT,
                .max_segments = 10,
            },
    };
}

/* The value of a setting. An empty one counts as none. */
static bool find(const settings_t *settings, const char *name, string_t *value) {
    for (size_t i = 0; i < settings->len; i++) {
        if (!string_is(settings->ptr[i].name, name)) continue;
        *value = settings->ptr[i].value;
        return value->len > 0;
    }
    return false;
}

static string_t url(string_t base, string_t account) {
    while (base.len > 0 && base.ptr[base.len - 1] == '/') base.len--;
    struct text url = {0};
    text_add_string(&url, base);
    text_add_word(&url, "/2010-04-01/Accounts/");
    text_add_path(&url, account);
    text_add_word(&url, "/Messages.json");
    return text_give(&url);
}

static carrier_plugin_list_u8_t form(const outgoing_t *message) {
    struct text form = {0};
    text_add_word(&form, "To=");
    text_add_form(&form, message->recipient);
    text_add_word(&form, "&From=");
    text_add_form(&form, message->sender);
    text_add_word(&form, "&Body=");
    text_add_form(&form, message->text);
    string_t body = text_give(&form);
    return (carrier_plugin_list_u8_t){body.ptr, body.len};
}

static string_t copy(string_t string) {
    struct text text = {0};
    text_add_string(&text, string);
    return text_give(&text);
}

/* The request with this message. Nothing of it is shared with the arguments, which are freed. */
static request_t request_for(string_t base, string_t account, const outgoing_t *message) {
    header_t *headers = allocate(2 * sizeof *headers);
    headers[0] = (header_t){string_of("content-type"), string_of("application/x-www-form-urlencoded")};
    headers[1] = (header_t){string_of("x-dripline-reference"), copy(message->reference)};
    request_t request = {
        .method = string_of("POST"),
        .url = url(base, account),
        .headers = {headers, 2},
        .body = form(message),
    };
    request.credential.is_some = true;
    request.credential.val.tag = DRIPLINE_PLUGIN_HTTP_CREDENTIAL_BASIC;
    request.credential.val.val.basic =
        (dripline_plugin_http_basic_t){.user = copy(account), .password_secret = string_of(TOKEN)};
    return request;
}

bool exports_dripline_plugin_carrier_send_request(settings_t *settings, outgoing_t *message, request_t *request,
                                                  failure_t *failure) {
    string_t account, base;
    bool built = false;
    if (!find(settings, ACCOUNT, &account)) {
        fail_for_setting(failure, ACCOUNT);
    } else if (!find(settings, API_BASE, &base)) {
        fail_for_setting(failure, API_BASE);
    } else {
        *request = request_for(base, account, message);
        built = true;
    }
    exports_dripline_plugin_carrier_list_setting_free(settings);
    exports_dripline_plugin_carrier_outgoing_free(message);
    return built;
}

/* What an answer means. After a 2xx, what cannot be read may have been sent all the same. */
static bool read_answer(const response_t *response, accepted_t *accepted, failure_t *failure) {
    enum { SID, CODE, MEMBERS };
    struct json_member members[MEMBERS] = {[SID] = {.name = "sid"}, [CODE] = {.name = "code"}};
    bool readable = json_read(response->body.ptr, response->body.len, members, MEMBERS);
    if (response->status < 200 || response->status > 299) {
        fail_for_answer(failure, response, readable ? json_code(&members[CODE]) : 0);
        return false;
    }
    if (!readable) {
        fail(failure, UNCERTAIN, "unreadable-answer", "the carrier's answer cannot be read");
        return false;
    }
    uint8_t id[MAX_ID];
    size_t length = json_id(&members[SID], id, sizeof id);
    if (length == 0) {
        fail(failure, UNCERTAIN, "no-id", "the carrier gave the message no id");
        return false;
    }
    string_t *reference = allocate(sizeof *reference);
    *reference = copy((string_t){id, length});
    *accepted = (accepted_t){.carrier_references = {reference, 1}};
    return true;
}

bool exports_dripline_plugin_carrier_send_outcome(settings_t *settings, response_t *response, accepted_t *accepted,
                                                  failure_t *failure) {
    bool taken = read_answer(response, accepted, failure);
    exports_dripline_plugin_carrier_list_setting_free(settings);
    exports_dripline_plugin_carrier_response_free(response);
    return taken;
}
