// The qcow2 image that takes what is written, so that the mounted one stays as it is.
#pragma once

#include "fusefs/options.h"

namespace platter::fusefs {

// The file the options name, which is made if it is missing and may be (Access::write); or one
// without a name in $TMPDIR (else /var/tmp), which goes with the last descriptor of it, however the
// program ends.
Result<Overlay> open_overlay(const MountOptions& options, Access access);

}  // namespace platter::fusefs
