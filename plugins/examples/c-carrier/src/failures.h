/* Why a message was not taken. */
#ifndef FAILURES_H
#define FAILURES_H

#include "contract.h"

/* A failure of a class, with a code and with one sentence of ours: a carrier's often quote the recipient. */
void fail(failure_t *failure, enum failure_class class, const char *code, const char *text);

/* A setting that the route does not give. */
void fail_for_setting(failure_t *failure, const char *name);

/* An answer that is no 2xx, with the carrier's code, or 0. */
void fail_for_answer(failure_t *failure, const response_t *response, uint32_t code);

#endif
