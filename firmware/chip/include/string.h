/* What tinyrlibc's snprintf.c asks of a C library that a chip doesn't have. tinyrlibc itself brings it. */
#ifndef LATCHKEY_STRING_H
#define LATCHKEY_STRING_H
#include <stddef.h>
size_t strlen(const char *text);
#endif
