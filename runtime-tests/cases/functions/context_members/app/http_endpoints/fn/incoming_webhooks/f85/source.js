exports = () => [process.env.SECRET === undefined, process.env.PATH === undefined, process.version];
