"""Pictures: what each shows, as a frozen dataclass, and how it is drawn, still and interactive."""
