/* fuzz_http_parser.c - wherever the bytes are cut, the parser delivers the
 * same.  The first four octets say what is asked for and where to cut. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "../lib/http_record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct record whole, cut, single;
    struct record_plan plan = {0};
    struct str bytes;

    if (size < 4)
        return 0;
    bytes = (struct str){(const char *)data + 4, size - 4};
    plan.side = data[0] & 1 ? HEAD_RESPONSE : HEAD_REQUEST;
    plan.head_only = data[0] & 2 && data[0] & 1;
    plan.may_upgrade = data[0] & 4 && data[0] & 1;
    record_run(&whole, &plan, bytes);
    plan.cut = plan.step = 1;
    record_run(&single, &plan, bytes);
    plan.cut = (size_t)data[1] << 8 | data[2];
    plan.step = data[3];
    record_run(&cut, &plan, bytes);
    if (!record_same(&whole, &cut) || !record_same(&whole, &single))
        abort();
    record_fini(&whole);
    record_fini(&cut);
    record_fini(&single);
    return 0;
}
