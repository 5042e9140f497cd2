"""What shows that results do not depend on the processor: other processors, by their CPUID or emulated."""
