// A new VMDK, written front to back.
#pragma once

#include <array>

#include "lib/image/format.h"

namespace platter::vmdk {

inline constexpr std::array<OptionSpec, 7> kCreateOptions = {
    {{"create_type", "what -o subformat=NAME stands for", "monolithicSparse"},
     {"adapter_type", "ide, lsilogic, buslogic, legacyESX or pvscsi", "ide; lsilogic for vmfs"},
     {"hwversion", "of the virtual machine", "4"},
     {"toolsversion", "of VMware's tools in the guest", "2147483647"},
     {"zeroed_grain", "tables can say that a grain is zero (on, off)", "off"},
     {"grain_size", "bytes a grain of a sparse extent", "64k"},
     {"extent_size", "bytes an extent of a split disk, at most", "2047M"}}};

inline constexpr std::array<CreatableVariant, 6> kCreatable = {
    {{"monolithicSparse", "create_type", "monolithicSparse"},
     {"monolithicFlat", "create_type", "monolithicFlat"},
     {"twoGbMaxExtentSparse", "create_type", "twoGbMaxExtentSparse"},
     {"twoGbMaxExtentFlat", "create_type", "twoGbMaxExtentFlat"},
     {"streamOptimized", "create_type", "streamOptimized"},
     {"vmfs", "create_type", "vmfs"}}};

// Errc::invalid: an option or a size that cannot be, a parent that is no VMDK with a CID, or a name
// that a descriptor cannot have in it.
Result<ImageWriterPtr> create_vmdk(const CreateRequest& request);

}  // namespace platter::vmdk
