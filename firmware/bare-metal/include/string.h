/* The part of <string.h> that tinyrlibc's snprintf.c includes. tinyrlibc itself has the function. */
#ifndef LATCHKEY_STRING_H
#define LATCHKEY_STRING_H
#include <stddef.h>
size_t strlen(const char *text);
#endif
