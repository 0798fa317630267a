"""Images and labels: sources, check, split, decode, image cache, sampler, transforms, loader."""
