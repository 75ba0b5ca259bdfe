"""What a service meets besides steady load: each module starts it anew and says how it fared."""
