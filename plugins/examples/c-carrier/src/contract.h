/*
 * The contract's types, as wit-bindgen makes them from plugins/wit, under shorter names.
 *
 * Who owns what: arguments of an exported function are ours and are freed before it returns; everything that it
 * returns is on the heap, since the generated code frees it once the host has read it.
 */
#ifndef CONTRACT_H
#define CONTRACT_H

#include "carrier_plugin.h"

typedef carrier_plugin_string_t string_t;
typedef exports_dripline_plugin_carrier_list_setting_t settings_t;
typedef dripline_plugin_carrier_types_setting_schema_t setting_schema_t;
typedef dripline_plugin_carrier_types_attribute_t attribute_t;
typedef exports_dripline_plugin_carrier_manifest_t manifest_t;
typedef exports_dripline_plugin_carrier_outgoing_t outgoing_t;
typedef exports_dripline_plugin_carrier_request_t request_t;
typedef exports_dripline_plugin_carrier_response_t response_t;
typedef exports_dripline_plugin_carrier_accepted_t accepted_t;
typedef exports_dripline_plugin_carrier_failure_t failure_t;
typedef dripline_plugin_http_header_t header_t;

enum failure_class {
    THROTTLED = DRIPLINE_PLUGIN_CARRIER_TYPES_FAILURE_CLASS_THROTTLED,
    RETRYABLE = DRIPLINE_PLUGIN_CARRIER_TYPES_FAILURE_CLASS_RETRYABLE,
    PERMANENT = DRIPLINE_PLUGIN_CARRIER_TYPES_FAILURE_CLASS_PERMANENT,
    STOPPED = DRIPLINE_PLUGIN_CARRIER_TYPES_FAILURE_CLASS_STOPPED,
    UNCERTAIN = DRIPLINE_PLUGIN_CARRIER_TYPES_FAILURE_CLASS_UNCERTAIN,
};

#endif
