#include "bench/machine.h"

#include <config.h>

#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

/* "model name" of the first processor; the machine's kind where there is none
 * (as on ARM). */
static void read_cpu(char *out, size_t cap, const char *otherwise)
{
    FILE *f = fopen("/proc/cpuinfo", "re");
    char line[256];

    snprintf(out, cap, "%s", otherwise);
    if (f == NULL)
        return;
    while (fgets(line, sizeof(line), f) != NULL) {
        const char *value = strchr(line, ':');

        if (strncmp(line, "model name", 10) != 0 || value == NULL)
            continue;
        line[strcspn(line, "\n")] = '\0';
        snprintf(out, cap, "%s", value + 2);
        break;
    }
    fclose(f);
}

/* Those that we may run on. */
static int cores(void)
{
    cpu_set_t set;

    return sched_getaffinity(0, sizeof(set), &set) == 0
               ? CPU_COUNT(&set)
               : (int)sysconf(_SC_NPROCESSORS_ONLN);
}

json_t *machine_facts(void)
{
    char cpu[256], kernel[sizeof(struct utsname)], when[32];
    struct utsname u = {.machine = "unknown"};
    time_t now = time(NULL);
    struct tm tm;

    uname(&u);
    read_cpu(cpu, sizeof(cpu), u.machine);
    snprintf(kernel, sizeof(kernel), "%s %s", u.sysname, u.release);
    strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &tm));
    return json_pack(
        "{s:s,s:s,s:i,s:i,s:I,s:s,s:s}", "penstock", PACKAGE_VERSION, "cpu",
        cpu, "cores", (int)sysconf(_SC_NPROCESSORS_ONLN), "cores_allowed",
        cores(), "memory_bytes",
        (json_int_t)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE), "kernel",
        kernel, "time", when);
}

const char *machine_line(const json_t *facts)
{
    static char line[512];

    snprintf(line, sizeof(line), "%s, %lld cores, %s; penstock %s; %s",
             json_string_value(json_object_get(facts, "cpu")),
             (long long)json_integer_value(json_object_get(facts, "cores")),
             json_string_value(json_object_get(facts, "kernel")),
             json_string_value(json_object_get(facts, "penstock")),
             json_string_value(json_object_get(facts, "time")));
    return line;
}
