#include "server/costs.h"

#include <jansson.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

static bool take(double *out, json_t *value)
{
    double n = json_number_value(value);

    if (!json_is_number(value) || !isfinite(n) || n < 0)
        return false;
    *out = n;
    return true;
}

static bool take_transports(double *out, json_t *values)
{
    const char *name;
    json_t *value;

    if (!json_is_object(values))
        return false;
    json_object_foreach(values, name, value)
    {
        int i = 0;

        while (i < MODEL_TRANSPORTS && strcmp(name, tally_transports[i]) != 0)
            i++;
        if (i == MODEL_TRANSPORTS || !take(&out[i], value))
            return false;
    }
    return true;
}

static bool take_steps(double *out, json_t *values)
{
    json_t *value;
    size_t i;

    if (!json_is_array(values) || json_array_size(values) != 3)
        return false;
    json_array_foreach(values, i, value)
    {
        if (!take(&out[i], value))
            return false;
    }
    return true;
}

#define AT(name) offsetof(struct model_costs, name)

static const struct {
    const char *name;
    size_t at;
    bool (*take)(double *out, json_t *value);
} members[] = {
    {"delivery_us", AT(delivery_us), take_transports},
    {"empty_us", AT(empty_us), take_transports},
    {"cold", AT(cold), take_transports},
    {"lonely_us", AT(lonely_us), take_steps},
    {"message_us", AT(message_us), take},
    {"merge_us", AT(merge_us), take},
    {"kib_us", AT(kib_us), take},
    {"send_us", AT(send_us), take_transports},
    {"connect_us", AT(connect_us), take},
    {"memory_bytes", AT(memory_bytes), take_transports},
    {"socket_bytes", AT(socket_bytes), take},
};

static bool take_member(struct model_costs *out, const char *name,
                        json_t *value)
{
    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
        double *at = (double *)((char *)out + members[i].at);

        if (strcmp(name, members[i].name) == 0)
            return members[i].take(at, value);
    }
    return false;
}

bool costs_read(struct model_costs *out, const char *file)
{
    const char *name, *wrong = NULL;
    json_error_t error;
    json_t *root = json_load_file(file, 0, &error), *value;

    if (root == NULL)
        fprintf(stderr, "penstock advise: %s: %s\n", file, error.text);
    else if (!json_is_object(root))
        wrong = "the whole";
    json_object_foreach(root, name, value)
    {
        if (wrong == NULL && !take_member(out, name, value))
            wrong = name;
    }
    if (wrong != NULL)
        fprintf(stderr,
                "penstock advise: %s: %s: this is no cost: see penstock(1)\n",
                file, wrong);
    json_decref(root);
    return root != NULL && wrong == NULL;
}
