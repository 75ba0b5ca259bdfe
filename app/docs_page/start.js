SwaggerUIBundle({
	dom_id: "#routes",
	url: "openapi.json",
	deepLinking: true,
	// Otherwise a public host would be asked whether the description is valid.
	validatorUrl: null,
});
