// What libplatter shows to those who link against it.
#pragma once

#define PLATTER_API __attribute__((visibility("default")))
