/* src/net/listener.c: whose a descriptor is. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>
#include <cmocka.h>

#include "net/listener.h"
#include "net/worker.h"

/* Closed twice, it would be one that another thread has got in between. */
static void one_that_cannot_be_waited_for_stays_the_caller_s(void **state)
{
    struct worker *w = worker_new(0, NULL);
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC); /* which is always ready */

    assert_null(listener_new(w, fd, NULL, NULL, NULL));
    assert_int_equal(close(fd), 0);
    worker_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_that_cannot_be_waited_for_stays_the_caller_s),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
