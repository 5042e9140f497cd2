"""From a card to verified files: mirrors, packages, hubs, archives."""
