// The low-level API of libfuse, at the version this program is written for.
#pragma once

#define FUSE_USE_VERSION 314
#include <fuse_lowlevel.h>
